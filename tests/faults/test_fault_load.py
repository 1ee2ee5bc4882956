"""Rules files with mistakes: each is told with its place and what to do."""

import codecs
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.faults import FaultsError, load
from blynkscope.faults.model import FILE_MAX
from blynkscope.faults.places import Places

DROP = "[[rule]]\ndrop = true\n"

MISTAKES = [
    # text, line, column, words
    ("", 1, 1, "begin with [[rule]]"),
    ("# nothing\n", 1, 1, "begin with [[rule]]"),
    ("seed = 1\n", 1, 1, "begin with [[rule]]"),
    ("rule = []\n", 1, 1, "1 to 256 rules"),
    ("[rule]\ndrop = true\n", 1, 1, "two pairs of brackets"),
    ("rules = 1\n", 1, 1, 'unknown key "rules" (did you mean "rule"?)'),
    ("\n[[rul]]\ndrop = true\n", 2, 1, 'unknown key "rul" (did you mean "rule"?)'),
    ("seed = -1\n" + DROP, 1, 8, "seed: 0 to"),
    ("seed = 'x'\n" + DROP, 1, 8, "seed: a whole number is expected, not a text"),
    ("description = 5\n" + DROP, 1, 15, "description: a text is expected, not a number"),
    ("[[rule]]\n", 1, 1, "rule 1: no action: write one of pass, delay"),
    ("[[rule]]\nname = 'a'\n", 1, 1, 'rule "a": no action'),
    ("[[rule]]\nname = 'slow'\n  dely = 3\n", 3, 3, 'rule "slow": unknown action "dely" (did you mean "delay"?)'),
    ("[[rule]]\nxyzzy = 3\n", 2, 1, 'unknown action "xyzzy"; known are'),
    ("[[rule]]\nname = ''\ndrop = true", 2, 8, "1 to 64 characters"),
    ('[[rule]]\nname = "a\\u0007"\ndrop = true', 2, 8, "printable"),
    ("[[rule]]\nname='a'\ndrop=true\n[[rule]]\nname = 'a'\ndrop=true", 5, 8, "line 1 has a rule of this name already"),
    ("rule = [{ drop = true }, 5]", 1, 26, "rule 2: rule: a table is expected, not a number"),
    ("rule = [{ drop = true }, { drp = true }]", 1, 28, 'rule 2: unknown action "drp"'),
    ("[[rule]]\ndrop = false", 2, 8, "leave the key out"),
    ("[[rule]]\ndrop = 1", 2, 8, "drop: true or false is expected, not a number"),
    ("[[rule]]\ndelay = -1", 2, 9, "delay: 0 to 3600 seconds are expected, not -1"),
    ("[[rule]]\ndelay = 1e9", 2, 9, "delay: 0 to 3600 seconds"),
    ("[[rule]]\ndelay = nan", 2, 9, "delay: 0 to 3600 seconds"),
    ("[[rule]]\ndelay = inf", 2, 9, "delay: 0 to 3600 seconds"),
    ("[[rule]]\ndelay = true", 2, 9, "delay: a number of seconds is expected, like 0.5, not true or false"),
    ("[[rule]]\ndelay = '2s'", 2, 9, "like 0.5, not a text"),
    ("[[rule]]\ndelay = { second = 1 }", 2, 11, 'unknown key "second" (did you mean "seconds"?)'),
    ("[[rule]]\ndelay = {}", 2, 9, "seconds or jitter"),
    ("[[rule]]\ndelay = { jitter = -1 }", 2, 20, "jitter: 0 to 3600"),
    ("[[rule]]\n[rule.delay]\nseconds = -1", 3, 11, "seconds: 0 to 3600"),
    ("[[rule]]\nrule.delay = 1", 2, 1, 'unknown action "rule"'),
    ("[[rule]]\ndelay.seconds = 'x'", 2, 17, "seconds: a number of seconds"),
    ("[[rule]]\nduplicate = 0", 2, 13, "1 to 100"),
    ("[[rule]]\nduplicate = 1.5", 2, 13, "a whole number is expected, not 1.5"),
    ("[[rule]]\nduplicate = false", 2, 13, "leave the key out"),
    ("[[rule]]\nsplit = { size = 0 }", 2, 18, "size: 1 to"),
    ("[[rule]]\nsplit = { gap = 99999 }", 2, 17, "gap: 0 to 3600"),
    ("[[rule]]\nmerge = 1", 2, 9, "2 to 1000"),
    ("[[rule]]\nmerge = {}", 2, 9, "frames is expected"),
    ("[[rule]]\nreorder = { frames = 0 }", 2, 22, "1 to 1000"),
    ("[[rule]]\nstall = { direction = 'up' }", 2, 23, 'both, to-server, to-device are possible, not "up"'),
    ("[[rule]]\nstall = false", 2, 9, "leave the key out"),
    ("[[rule]]\ndirection = 'to-sever'\ndrop = true", 2, 13, '(did you mean "to-server"?)'),
    ("[[rule]]\ndirection = 1\ndrop = true", 2, 13, "possible, not a number"),
    ("[[rule]]\nstatus = 'INVALD_TOKEN'", 2, 10, 'no such status: "INVALD_TOKEN" (did you mean "INVALID_TOKEN"?)'),
    ("[[rule]]\nstatus = 70000", 2, 10, "0 to 65535"),
    ("[[rule]]\nstatus = [9]", 2, 10, "a whole number is expected, not a list"),
    ("[[rule]]\nbody = 5", 2, 8, "a list of parts"),
    ("[[rule]]\nbody = { hex = 'zz' }", 2, 16, "no pairs of hex digits"),
    ("[[rule]]\nbody = { hx = '00' }", 2, 10, 'unknown key "hx"'),
    ('[[rule]]\nbody = ["vw", "a\\u0000b"]', 2, 15, "NUL separates"),
    ("[[rule]]\nbody = ['vw', true]", 2, 15, "a text is expected, not true or false"),
    ("[[rule]]\nbody = '" + "x" * 66_000 + "'", 2, 8, "do not fit the header"),
    ("[[rule]]\nreplace = {}", 2, 11, "fields and their new values"),
    ("[[rule]]\nreplace = { vlaue = '1' }", 2, 13, 'no such field: "vlaue" (did you mean "value"?)'),
    ("[[rule]]\nreplace = { qqqq = '1' }", 2, 13, "fields.qqqq"),
    ("[[rule]]\nreplace = { json = '1' }", 2, 13, "cannot be written back: use body"),
    ("[[rule]]\nreplace = { value = [] }", 2, 21, "a text or a list of texts"),
    ("[[rule]]\nreplace = { value = '1', values = ['2'] }", 2, 26, "the same field"),
    ("[[rule]]\nreplace = { value = ['1', {}] }", 2, 27, "a text is expected, not a table"),
    ("[[rule]]\ntruncate = 0", 2, 12, "1 to 65540"),
    ("[[rule]]\ncorrupt = { xor = 0 }", 2, 19, "1 to 255"),
    ("[[rule]]\ncorrupt = 5", 2, 11, "a table is expected"),
    ("[[rule]]\ncorrupt = false", 2, 11, "leave the key out"),
    ("[[rule]]\nanswer = 9", 2, 10, "a table is expected, not a number"),
    ("[[rule]]\nanswer = []", 2, 10, "1 to 16 answers"),
    ("[[rule]]\nanswer = {}", 2, 10, "one of status, redirect and cmd is expected"),
    ("[[rule]]\nanswer = { status = 9, cmd = 5 }", 2, 10, "not several"),
    ("[[rule]]\nanswer = { staus = 9 }", 2, 12, '(did you mean "status"?)'),
    ("[[rule]]\nanswer = { status = 9, body = 'x' }", 2, 24, "a body belongs to cmd"),
    ("[[rule]]\nanswer = { cmd = 'RSP' }", 2, 18, "written status"),
    ("[[rule]]\nanswer = { cmd = 'PIN' }", 2, 18, '(did you mean "PING"?)'),
    ("[[rule]]\nanswer = { cmd = 256 }", 2, 18, "0 to 255"),
    ("[[rule]]\nanswer = { redirect = 'a:b' }", 2, 23, "b is no port"),
    ("[[rule]]\nanswer = { redirect = 'a:' }", 2, 23, "no port"),
    ("[[rule]]\nanswer = { redirect = ':80' }", 2, 23, "HOST or HOST:PORT"),
    ("[[rule]]\nanswer = { redirect = '[::1]x' }", 2, 23, "written [::1]:8080"),
    ("[[rule]]\nanswer = { status = 9, id = 70000 }", 2, 29, "0 to 65535"),
    ("[[rule]]\n[[rule.answer]]\nstatus = 1\n[[rule.answer]]\nstatus = 'X?'", 5, 10, "no such status"),
    ("[[rule]]\nforward = true\ndrop = true", 2, 1, "forward belongs to answer"),
    ("[[rule]]\nanswer = { status = 1 }\nduplicate = 2", 3, 1, "duplicate has no effect"),
    ("[[rule]]\npass = true\ndrop = true", 3, 1, "pass and drop contradict each other"),
    ("[[rule]]\ndrop = true\nduplicate = 2", 3, 1, "drop and duplicate contradict"),
    ("[[rule]]\ndrop = true\nanswer = { status = 9 }", 3, 1, "drop and answer contradict"),
    ("[[rule]]\nreset = true\nclose = true", 3, 1, "close and reset contradict"),
    ("[[rule]]\nsplit = true\nmerge = 2", 3, 1, "split and merge contradict"),
    ("[[rule]]\nmerge = 2\nreorder = 2", 3, 1, "merge and reorder contradict"),
    ("[[rule]]\nstatus = 9\nbody = 'x'", 3, 1, "status and body contradict"),
    ("[[rule]]\ntruncate = 9\nbody = 'x'", 3, 1, "body must stand before truncate"),
    ("[[rule]]\nprobability = 0\ndrop = true", 2, 15, "above 0 and up to 1 is expected, not 0"),
    ("[[rule]]\nprobability = 30\ndrop = true", 2, 15, "above 0 and up to 1"),
    ("[[rule]]\nprobability = true\ndrop = true", 2, 15, "not true or false"),
    ("[[rule]]\nprobability = nan\ndrop = true", 2, 15, "above 0"),
    ("[[rule]]\ncount = 0\ndrop = true", 2, 9, "1 to"),
    ("[[rule]]\nconnection = []\ndrop = true", 2, 14, "numbers of connections"),
    ("[[rule]]\nconnection = [1, 0]\ndrop = true", 2, 18, "1 to"),
    ("[[rule]]\nfrom = 5\nuntil = 5\ndrop = true", 3, 9, "later than from"),
    ("[[rule]]\nanswers = []\ndrop = true", 2, 11, "names of commands"),
    ("[[rule]]\nanswers = ['PING', 'PONGG']\ndrop = true", 2, 20, "no such command"),
    ("[[rule]]\nmatch = 5\ndrop = true", 2, 9, "a filter is expected"),
    ("[[rule]]\nmatch = 'cmd = 5'\ndrop = true", 2, 14, "compare with =="),
    ('[[rule]]\nmatch = "cmd == 5 and nme == 1"\ndrop = true', 2, 23, "no such key: nme"),
    ('[[rule]]\nmatch = "text == \\"x\\" and nme == 1"\ndrop = true', 2, 9, "no such key: nme"),
    ("[[rule]]\nmatch = '''\ncmd = 5'''\ndrop = true", 2, 9, "compare with =="),
    ("[[rule]]\nmatch = ''\ndrop = true", 2, 10, "the expression is empty"),
    ("[[rule]]\nmatch = 'confirmed'\ndrop = true", 2, 9, "known only after it passed"),
    ("[[rule]]\nmatch = 'cmd == 5 or findings == BS201'\ndrop = true", 2, 22, "has no findings"),
    ("[[rule]]\nmatch = 'kind == a'\ndrop = true", 2, 10, "has no kind"),
    ("[[rule]]\ndrop = tru\n", 2, 8, "no TOML: invalid value"),
    ("[[rule]]\nname = 'a", 2, 10, "no TOML"),
    ("[[rule]]\ndrop = true\ndrop = true\n", 3, 12, "no TOML: cannot overwrite a value"),
    ("[[rule]\n", 1, 7, "no TOML"),
    ("seed = " + "9" * 5000, 1, 1, "a value cannot be read"),
    ("seed = 2026-13-45\n", 1, 12, "no TOML"),
    ("seed = 2026-12-24\n" + DROP, 1, 8, "not a date"),
    ("a = " + "[" * 50_000, 1, 1, "nested too deeply"),
    (".".join("a" * 100_000) + " = 1", 1, 1, "nested too deeply"),
    ("[" + ".".join(['"a b"'] * 40_000) + "]", 1, 1, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), MISTAKES)
def test_mistakes_are_told_with_their_place(text, line, column, words):
    for variant in {text, text.replace("\n", "\r\n")}:
        with pytest.raises(FaultsError) as caught:
            load(variant, name="rules.toml")
        assert words in str(caught.value)
        assert (caught.value.line, caught.value.column) == (line, column)
        assert str(caught.value).startswith(f"rules.toml:{line}:{column}: ")
        assert caught.value.exit_code == 2


def test_the_filter_error_is_pointed_at():
    with pytest.raises(FaultsError) as caught:
        load("[[rule]]\nname = 'x'\nmatch = 'cmd == HW and pni == V1'\ndrop = true", name="r.toml")
    said = str(caught.value)
    assert said.startswith('r.toml:3:24: rule "x": match is no filter: no such key: pni; did you mean pin')
    assert said.endswith("(near 'cmd == HW and pni == V1')")


def test_a_mistake_in_a_filter_of_several_lines_is_told_in_one():
    with pytest.raises(FaultsError) as caught:
        load('[[rule]]\nmatch = """\ncmd == HW and\n  pin ==\n"""\ndrop = true', name="r.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("(near '== HW and pin ==')")


def test_files(tmp_path):
    def told(data):
        path = tmp_path / "r.toml"
        path.write_bytes(data)
        with pytest.raises(FaultsError) as caught:
            load(path)
        assert str(caught.value).startswith(str(path) + ":")
        return str(caught.value).removeprefix(str(path))

    assert told(b"").startswith(":1:1: no rules in it")
    assert told("[[rule]]\n# gr\xfc\xdfe: \xff".encode("latin-1")).startswith(":2:5: not UTF-8")
    assert told("ä\n# ä".encode() + b"\xff").startswith(":2:4: not UTF-8")
    assert told(DROP.encode("utf-16")).startswith(":1:1: the file is UTF-16")
    assert told(b"#" * 10_000_000).startswith(": longer than 256 KiB")
    with pytest.raises(FaultsError, match=r"missing.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml")
    with pytest.raises(FaultsError, match="cannot be read"):
        load(tmp_path)
    good = tmp_path / "good.toml"
    good.write_bytes(codecs.BOM_UTF8 + DROP.replace("\n", "\r\n").encode())
    assert load(good).name == str(good)
    assert load(good, name="x").name == "x"
    assert len(load("#" * (FILE_MAX - len(DROP) - 1) + "\n" + DROP).rules) == 1


def test_what_a_rule_says():
    rules = load(
        "seed = 4\ndescription = 'd'\n[[rule]]\nmatch = 'cmd == PING'\ndirection = 'to-device'\nafter = 1\nevery = 2\n"
        "count = 3\nprobability = 0.25\nconnection = [1, 2]\nfrom = 1\nuntil = 2.5\nanswers = 'PING'\ndelay = 3\n"
        "\n[[rule]]\nname = 'second'\nclose = true\n"
    )
    assert (rules.seed, rules.description, rules.name) == (4, "d", "<rules>")
    first, second = rules.rules
    assert (first.name, first.line, second.name, second.line) == ("rule 1", 3, "second", 16)
    assert (first.directions, first.after, first.every, first.count) == ((1,), 1, 2, 3)
    assert (first.probability, first.connections, first.begin, first.until) == (0.25, {1, 2}, 1.0, 2.5)
    assert (first.answers, first.delay.seconds, first.expression) == ({6}, 3.0, "cmd == PING")


def test_ipv6_redirects():
    def target(text):
        return load(f"[[rule]]\nanswer = {{ redirect = '{text}' }}").rules[0].answer[0].body

    assert target("[::1]:81") == b"::1\x0081"
    assert target("::1") == b"::1"
    assert target("[::1]") == b"::1"
    assert target("b.example") == b"b.example"


def test_places_of_every_kind_of_key():
    text = (
        "a.b . 'c d' = 1\n"
        '"q\\u0041\\"" = """x\n"" = [["""\n'
        "[t]  # [no]\n"
        "k = [ 1, # ]\n  { x = 'a', y.z = [2] }, '}' ]\n"
        "[[l.m]]\ni = 1979-05-27 07:32:00\n[l.m.n]\nj = +1.5e3\n[[l.m]]\n[[l.m.o]]\nk=''\n[[l.m.o]]\nk=''''''''\n"
    )
    tomllib.loads(text)
    places = Places(text)
    assert places.key(("a", "b", "c d")) == (1, 7)
    assert places.value(("a", "b", "c d")) == (1, 15)
    assert places.key(('qA"',)) == (2, 1)
    assert places.key(("t",)) == (4, 1)
    assert places.value(("t", "k", 0)) == (5, 7)
    assert places.key(("t", "k", 1, "y", "z")) == (6, 16)
    assert places.value(("t", "k", 1, "y", "z", 0)) == (6, 21)
    assert places.value(("t", "k", 2)) == (6, 27)
    assert places.value(("l", "m", 0, "i")) == (8, 5)
    assert places.value(("l", "m", 0, "n", "j")) == (10, 5)
    assert places.key(("l", "m", 1)) == (11, 1)
    assert places.key(("l", "m", 1, "o", 1, "k")) == (15, 1)
    assert places.key(("nowhere", 3)) == (1, 1)


_SCRAPS = st.sampled_from(
    ["[[rule]]\n", "[rule]\n", "drop = true\n", "name = 'a'\n", 'match = "cmd == PING"\n', "delay = ", "{ ", "} ", "[", "]",
     "seconds = 1", "1", "-1", "\n", "'", '"""', '"', "\\", "=", ".", ",", "answer = { status = 9 }\n", "replace.value = '1'\n",
     "#", "\u20ac", "\0", "split = true\n", "[[rule.answer]]\nstatus = 9\n", "nan", "1979-05-27", "'''"]
)  # fmt: skip


@given(st.lists(_SCRAPS, max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_is_rules_or_one_kind_of_error(text):
    rules = problem = None
    try:
        rules = load(text)
    except FaultsError as error:
        problem = error
    assert (rules is None) is (problem is not None)
    if problem is not None:
        assert problem.line >= 1
        assert problem.column >= 1
        assert len(str(problem)) < 1500
    Places(text)
