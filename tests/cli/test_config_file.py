"""The configuration file: every option can be set by it, mistakes are told with their place, and none costs nothing."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import platformdirs
import pytest

from blynkscope.cli import COMMANDS, cli, config
from blynkscope.cli.config_file import COMMON, FILE_MAX, ConfigError, Configuration
from blynkscope.cli.config_values import CONFIRMATIONS, every_command, leaves, plain, settable, value_of
from blynkscope.cli.kinds import Number

CAPTURE = str(Path(__file__).parent.parent.parent / "captures" / "12b_idle_hbeat5.pcap")
WORDS = ("7", "5s", "2M", "127.0.0.1:9000", "10.0.0.0/8", "2x", "user:word", "legacy")
"""What options with a notation of their own may take; the first that fits is tried."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder of its own, for this process and for its children; gives the file."""
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    file = Path(config.default_path())
    assert file.is_relative_to(tmp_path)
    return file


def put(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def blynkscope(*words, **more):
    command = [sys.executable, "-m", "blynkscope", *map(str, words)]
    more = {"stdin": subprocess.DEVNULL, **more}
    return subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8", timeout=60, **more)


def run(monkeypatch, names, *words):
    """What a command is called with; it does nothing."""
    command = import_module(COMMANDS[names[0]][0]).command
    for name in names[1:]:
        command = command.commands[name]
    seen = {}
    monkeypatch.setattr(command, "callback", seen.update)
    with pytest.raises(SystemExit) as ended:
        main_of(list(words))
    assert ended.value.code in {0, None}
    return seen


def main_of(words):
    from blynkscope.cli import main

    main(words)


# --- every option of every command ------------------------------------------------------------------------------------


def example(option, folder):
    """A value for an option: as words of the command line, and as TOML."""
    name = option.opts[-1]
    if option.count:
        return [name, name], 2
    if option.is_flag:
        off = option.secondary_opts and option.default
        return [option.secondary_opts[0] if off else name], not off
    if option.nargs > 1:
        parts = [single(click.Option(["--x"], type=one), folder) for one in option.type.types]
        return [name, *map(str, parts)], [parts] if option.multiple else parts
    value = single(option, folder)
    if option.multiple:
        return [name, str(value), name, str(value)], [value, value]
    return [name, str(value)], value


def single(option, folder):
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[-1])
    if isinstance(kind, click.IntRange):
        least = kind.min if kind.min is not None else 1
        return int(least) + 1
    if isinstance(kind, click.FloatRange) or kind is click.FLOAT:
        return 1.5
    if kind is click.INT:
        return 7
    if isinstance(kind, click.Path):
        path = folder / f"there{'.d' if not kind.file_okay else ''}"
        path.mkdir(exist_ok=True) if not kind.file_okay else path.touch()
        return str(path)
    if isinstance(kind, click.File):
        return str(folder / "written")
    if kind is click.STRING:
        return "word"
    for word in WORDS:
        try:
            kind.convert(word, option, None)
        except click.BadParameter:
            continue
        return word
    pytest.fail(f"{option.opts} takes none of {WORDS}: add a word that it takes")


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f"'{value}'" if isinstance(value, str) else str(value)


def comparable(value):
    return getattr(value, "name", None) or repr(value) if hasattr(value, "write") else value


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_can_be_set(name, home, tmp_path, monkeypatch):
    """A value in the file does what the same value on the command line does."""
    count = 0
    for names, command in leaves((name,), import_module(COMMANDS[name][0]).command):
        needed = [param for param in command.params if param.required]
        for key, option in settable(command).items():
            words, value = example(option, tmp_path)
            rest = []
            for param in needed:
                if isinstance(param, click.Argument):
                    rest.append(single(param, tmp_path))
                elif param is not option:
                    rest += example(param, tmp_path)[0]
            by_line = run(monkeypatch, names, "--no-config", *names, *words, *rest)
            put(home, f"[{'.'.join(names)}]\n{key} = {toml(value)}\n")
            by_file = run(monkeypatch, names, *names, *rest)
            assert comparable(by_file[option.name]) == comparable(by_line[option.name]), key
            assert Configuration.read(str(home)).check() == 1
            count += 1
    assert count or name in {"completion", "filters"}


def test_every_option_has_a_key():
    for name, command in every_command():
        for names, one in leaves((name,), command):
            known = {param.name for param in one.params if isinstance(param, click.Option) and not param.is_eager}
            known -= CONFIRMATIONS
            assert known == {option.name for option in settable(one).values()}, names


def test_confirmations_are_for_the_command_line(home, capsys):
    """Whoever may write the file must not be able to turn guards off: of no command, and under no spelling."""
    found = 0
    for name, command in every_command():
        for names, one in leaves((name,), command):
            for option in one.params:
                if option.name not in CONFIRMATIONS:
                    continue
                found += 1
                for table, key in ((".".join(names), option.name), ("all", option.name), (".".join(names), "no-yes")):
                    put(home, f"[{table}]\n{key} = true\n")
                    with pytest.raises(ConfigError, match="on the command line where it is meant") as told:
                        Configuration.read(str(home)).defaults(name, command)
                    assert (told.value.line, told.value.column) == (2, 1)
    assert found > 5
    put(home, "[replay]\nyes = true\n")
    with pytest.raises(SystemExit) as ended:
        main_of(["replay", CAPTURE, "--to", "127.0.0.1:1"])
    assert ended.value.code == 2
    assert "yes cannot be set here" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "+nan"])
def test_what_is_no_finite_number(value, home, capsys):
    """TOML has them, too; every comparison with nan is false, so no bounds keep it out."""
    for table, key in (("probe", "timeout"), ("probe", "delay"), ("serve", "quota"), ("serve", "heartbeat")):
        put(home, f"[{table}]\n{key} = {value}\n")
        with pytest.raises(ConfigError, match=key):
            Configuration.read(str(home)).check()
    for name, command in every_command():
        for names, one in leaves((name,), command):
            loose = [key for key, option in settable(one).items()
                     if isinstance(option.type, click.FloatRange | click.types.FloatParamType)
                     and not isinstance(option.type, Number)]  # fmt: skip
            assert not loose, names
    for words in (["probe", "127.0.0.1:1", "--timeout"], ["probe", "127.0.0.1:1", "--delay"], ["serve", "--quota"],
                  ["replay", CAPTURE, "--to", "127.0.0.1:1", "--timeout"]):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main_of(["--no-config", *words, value])
        assert ended.value.code == 2


def test_what_is_common_is_common():
    keys = [set(settable(one)) for name, command in every_command() for _, one in leaves((name,), command)]
    for key in COMMON:
        assert sum(key in known for known in keys) > 1, key


# --- what goes before what --------------------------------------------------------------------------------------------


def test_the_command_line_goes_before_the_file(home, monkeypatch):
    put(home, "[decode]\nformat = 'tree'\nstream = [1, 2]\nfindings = false\n")
    assert run(monkeypatch, ["decode"], "decode")["format_"] == "tree"
    seen = run(monkeypatch, ["decode"], "decode", "--format", "csv", "--stream", "3", "--findings")
    assert (seen["format_"], seen["streams"], seen["findings"]) == ("csv", (3,), True)


def test_a_command_goes_before_all(home, monkeypatch):
    put(home, "[all]\nformat = 'jsonl'\nshow_secrets = true\n[decode]\nformat = 'tree'\n")
    seen = run(monkeypatch, ["decode"], "decode")
    assert (seen["format_"], seen["show_secrets"]) == ("tree", True)
    assert run(monkeypatch, ["hexdump"], "hexdump")["format_"] == "jsonl"


def test_all_holds_where_it_can(home, monkeypatch):
    """`tree` is no form of every command, and not all have --quiet: those go on as they were."""
    put(home, "[all]\nformat = 'tree'\nquiet = true\n")
    assert run(monkeypatch, ["decode"], "decode")["format_"] == "tree"
    assert run(monkeypatch, ["codes"], "codes")["form"] == "table"
    told = " ".join(blynkscope("--help").stdout.split())
    assert "under [all] holds for the commands that have the option and take the value" in told
    assert "doctor those of all" in told
    assert "under [all] holds for the commands" in " ".join(blynkscope("man").stdout.split())


def test_one_value_for_an_option_that_may_be_repeated(home, monkeypatch):
    put(home, "[decode]\nstream = 4\nwpa = 'secret:net'\n")
    seen = run(monkeypatch, ["decode"], "decode")
    assert (seen["streams"], seen["wpa"]) == ((4,), ("secret:net",))


def test_home_in_a_path(home, monkeypatch):
    put(home, "[decode]\nkeylog = ['~/keys.log']\n")
    assert run(monkeypatch, ["decode"], "decode")["keylog"] == (Path.home() / "keys.log",)


def test_another_file(home, tmp_path, monkeypatch):
    put(home, "[decode]\nformat = 'tree'\n")
    other = put(tmp_path / "other.toml", "[decode]\nformat = 'csv'\n")
    assert run(monkeypatch, ["decode"], "--config", str(other), "decode")["format_"] == "csv"
    for without in (["--config", ""], ["--no-config"]):
        assert run(monkeypatch, ["decode"], *without, "decode")["format_"] == "table"


def test_both_options(home):
    done = blynkscope("--config", "x", "--no-config", "filters")
    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_it_really_runs(home):
    put(home, "[decode]\nformat = 'jsonl'\nquiet = true\n")
    done = blynkscope("decode", CAPTURE)
    assert done.returncode == 0
    assert done.stdout.startswith('{"record":')
    assert done.stderr == ""


def test_verbose_says_that_it_was_read(home):
    put(home, "[hexdump]\nformat = 'json'\n[decode]\nformat = 'csv'\n")
    assert blynkscope("decode", CAPTURE).stderr == ""
    assert blynkscope("decode", "-vv", CAPTURE).stderr.startswith(f"note: options are set by {home}\n")
    assert blynkscope("--no-config", "decode", "-v", CAPTURE).stderr == ""


# --- where it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/somewhere", "", " ", "relative", None])
def test_where_it_is(base, monkeypatch):
    """Where platformdirs has the folder; but never below the current one."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if base is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
    path = config.default_path()
    assert os.path.isabs(path)
    assert path.endswith(os.path.join("blynkscope", "config.toml"))
    if base != "relative":
        assert path == os.path.join(platformdirs.user_config_dir("blynkscope", appauthor=False), "config.toml")


def test_the_current_folder_sets_nothing(home, tmp_path, monkeypatch):
    for name in ("config.toml", "blynkscope.toml", "blynkscope/config.toml", ".config/blynkscope/config.toml"):
        put(tmp_path / name, "[filters]\nnothing = 1\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", ".")
    assert blynkscope("filters", cwd=tmp_path).returncode == 0
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", ".")
    assert blynkscope("filters", cwd=tmp_path).returncode == 0


def test_help_names_it(home):
    done = blynkscope("--help", env={**os.environ, "COLUMNS": "60"})
    assert str(home) in done.stdout
    assert "--no-config" in done.stdout


def test_nothing_is_imported_for_no_file(home):
    code = (
        "import sys; from blynkscope.cli import main\n"
        "try: main(['filters'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('tomllib', 'platformdirs', 'blynkscope.cli.config_file') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("[decod]\n", 1, 1, 'no command "decod" (did you mean "decode"?)'),
    ("[xyzzy]\n", 1, 1, 'no command "xyzzy"; known are all, decode, '),
    ("format = 'tree'\n", 1, 1, '"format" stands in no table: begin with [all] or a command'),
    ("decode = 1\n", 1, 10, "decode is a table: begin it with [decode]"),
    ("[decode]\n\nformt = 'tree'\n", 3, 1, 'unknown option "formt" in [decode] (did you mean "format"?)'),
    ("[decode]\nxyzzy = 1\n", 2, 1, 'unknown option "xyzzy" in [decode]; known are format, '),
    ("[decode]\nfiles = 'a.pcap'\n", 2, 1, 'unknown option "files" in [decode]'),
    ("[decode]\nhelp = true\n", 2, 1, 'unknown option "help" in [decode]'),
    ("[decode]\nno-findings = true\n", 2, 1, "write findings = false"),
    ("[decode]\n  format = 3\n", 2, 12, "format: a text is expected, not a number"),
    ("[decode]\nformat = 'tre'\n", 2, 10, "format: 'tre' is not one of 'table'"),
    ("[decode]\nfindings = 'no'\n", 2, 12, "findings: true or false is expected, not a text"),
    ("[decode]\nverbose = true\n", 2, 11, "verbose: a whole number is expected, not true or false"),
    ("[decode]\njobs = 1.5\n", 2, 8, "jobs: a whole number is expected, not a number"),
    ("[decode]\njobs = 0\n", 2, 8, "jobs: 0 is not in the range x>=1"),
    ("[decode]\nstream = [1, 'two']\n", 2, 14, "stream: a whole number is expected, not a text"),
    ("[decode]\nformat = ['tree']\n", 2, 10, "format: a text is expected, not a list"),
    ("[decode]\nformat = 1979-05-27\n", 2, 10, "format: a text is expected, not a date"),
    ("[decode.inner]\nx = 1\n", 1, 1, 'unknown option "inner" in [decode]'),
    ("[all]\nformat = 'tre'\n", 2, 10, 'format: "tre" is none of table, '),
    ("[all]\nfromat = 'tree'\n", 2, 1, 'unknown option "fromat" in [all] (did you mean "format"?)'),
    ("[all]\noutput = 'x'\n", 2, 1, '"output" cannot be set for all commands'),
    ("[decode]\nformat = 'tree\n", 3, 1, "no TOML: expected"),
    ("[decode]\nformat tree\n", 2, 8, "no TOML: expected"),
    ("[decode]\nformat =", 2, 9, "no TOML: invalid value at the end"),
    ("[decode]\nformat = 'a'\nformat = 'b'\n", 3, 13, "no TOML: cannot overwrite a value"),
    ("a = " + "[" * 5000, 1, 1, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), MISTAKES, ids=[one[3][:40] for one in MISTAKES])
def test_mistakes_have_a_place(text, line, column, said, home, capsys):
    put(home, text)
    with pytest.raises(SystemExit) as ended:
        main_of(["decode", CAPTURE])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {home}:{line}:{column}: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_table_of_a_group(home, capsys):
    put(home, "[ca]\nformat = 'json'\n")
    with pytest.raises(SystemExit) as ended:
        main_of(["ca", "show"])
    assert ended.value.code == 2
    assert f'{home}:2:1: no command "format" in [ca]; tables are [ca.show], ' in capsys.readouterr().err


def test_mistakes_elsewhere_are_no_hindrance(home):
    """A command looks at its own table; doctor looks at all of them."""
    put(home, "[live]\nbuffer = 'much'\n")
    assert blynkscope("filters").returncode == 0
    # What is no table can be told by any of them.
    put(home, "live = 'much'\n")
    done = blynkscope("filters")
    assert (done.returncode, f"{home}:1:8: live is a table" in done.stderr) == (2, True)


def test_a_notation_of_its_own(home, capsys):
    put(home, "[live]\nduration = '5 parsecs'\n")
    with pytest.raises(SystemExit) as ended:
        main_of(["live"])
    assert ended.value.code == 2
    assert f"{home}:2:12: duration: " in capsys.readouterr().err


def test_options_that_exclude_each_other(home, tmp_path):
    put(home, "[wireshark]\ninstall = true\n")
    done = blynkscope("wireshark", "-o", tmp_path / "x.lua")
    assert done.returncode == 2
    assert f"({home} sets install; --no-config leaves it out)" in done.stderr
    assert not (tmp_path / "x.lua").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[decode]\nformat = '\xff'\n", ":2:11: not UTF-8"),
        (b"#" * (FILE_MAX + 1), ": longer than 64 KiB"),
        (b"\xef\xbb\xbf[decode]\r\n\r\nformt = 1\r\n", ":3:1: unknown option"),
    ],
)
def test_files_of_other_kinds(data, said, home):
    put(home, "").write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        Configuration.read(str(home)).check()
    assert f"{home}{said}" in str(raised.value)


@pytest.mark.parametrize("name", ["nothing.toml", "."])
def test_a_file_that_cannot_be_read(name, home, tmp_path):
    done = blynkscope("--config", name, "filters", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {name}: cannot be read: ")


def test_help_and_doctor_work_all_the_same(home):
    put(home, "[decode]\nformt = 1\n")
    assert blynkscope("decode", "--help").returncode == 0
    assert blynkscope("completion", "bash").returncode == 0


def test_keys_of_hostile_length(home, capsys):
    put(home, f"[decode]\n{'x' * 5000} = 1\n")
    with pytest.raises(SystemExit):
        main_of(["decode"])
    assert "x" * 41 not in capsys.readouterr().err


def test_terminal_codes_are_spelled_out(home, capsys):
    put(home, '[decode]\n"\\u001b[31m" = 1\n')
    with pytest.raises(SystemExit):
        main_of(["decode"])
    assert "\x1b" not in capsys.readouterr().err


def test_the_example_in_the_module_is_right(home):
    from blynkscope.cli import config_file

    text = config_file.__doc__.partition("\n\n")[2]
    assert Configuration(str(home), text).check() == 6
    assert tomllib.loads(text)["decode"]["stream"] == [1, 2]


def test_pairs_of_values():
    option = click.Option(["--pair"], type=(str, int), multiple=True)
    # click has one type for both parts, which reads what the parts are; the parts here are as TOML has them.
    assert value_of(option, [["a", "1"], ["b", "2"]]) == [["a", "1"], ["b", "2"]]
    assert value_of(option, ["a", "1"]) == [["a", "1"]]
    assert plain("show_secrets") == "show-secrets"


def test_the_group_itself_takes_no_options():
    assert {param.name for param in cli.params} >= {"config_", "no_config"}
