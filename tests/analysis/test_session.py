"""The session's state machine against a simple model of it, and the diagram that is drawn from it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blynkscope.analysis.session import MACHINE, Happening, Party, Session, State, mermaid


class Model(RuleBasedStateMachine):
    """What a conversation is, told with four facts instead of states."""

    def __init__(self):
        super().__init__()
        self.session = Session()
        self.there = self.over = self.gone = False
        self.accepted = False
        self.asked = False
        self.refused = False
        self.server_accepted = self.server_asked = False
        self.since = None
        self.clock = 0.0

    def now(self):
        self.clock += 1.0
        return self.clock

    def deaf(self):
        return self.over or self.gone or not self.there

    def lets_in(self):
        self.server_accepted = True
        if not self.accepted:
            self.accepted, self.since = True, self.clock if self.since is None else self.since

    @initialize(joined=st.booleans())
    def begins(self, joined):
        self.there = True
        self.session.happens(Happening.JOINED if joined else Happening.CONNECTED, self.now())
        if joined:
            self.lets_in()

    @rule()
    def logs_in(self):
        self.session.happens(Happening.LOGIN, self.now())
        if not self.deaf():
            self.server_asked = True
            if not self.accepted:
                self.asked, self.refused = True, False

    @rule(status=st.sampled_from([200, 4, 9, 2, 3, 5, 7777]))
    def login_answered(self, status):
        self.session.login_answered(status, self.now())
        if self.deaf() or self.accepted or not self.asked:
            return
        self.asked = self.server_asked = False
        if status in {200, 4}:
            self.lets_in()
        else:
            self.refused = True

    @rule()
    def answered(self):
        self.session.happens(Happening.ANSWERED, self.now())
        # Whoever was refused stays outside, whatever else is answered.
        if not self.deaf():
            self.server_accepted = True
            if not self.refused:
                self.asked = False
                self.lets_in()

    @rule()
    def redirected(self):
        self.session.happens(Happening.REDIRECT, self.now())
        if not self.deaf():
            self.gone = True

    @precondition(lambda self: self.clock > 4.0 and not self.over)
    @rule()
    def closed(self):
        before = self.session.reached
        self.session.happens(Happening.CLOSED, self.now())
        self.over = True
        assert self.session.reached is before

    def expected(self):
        if not self.there:
            return State.CONNECTING
        if self.gone:
            return State.REDIRECTED
        if self.accepted:
            return State.ONLINE
        if self.refused:
            return State.REJECTED
        return State.LOGGING_IN if self.asked else State.AWAITING_LOGIN

    @invariant()
    def the_client_is_where_the_model_says(self):
        assert self.session.reached is self.expected()
        assert self.session.state is (State.CLOSED if self.over else self.expected())

    @invariant()
    def the_server_knows_no_refusal(self):
        """A refusal leaves the connection open, so the server waits for the next login."""
        expected = self.expected()
        if expected not in {State.CONNECTING, State.REDIRECTED}:
            waiting = State.LOGGING_IN if self.server_asked else State.AWAITING_LOGIN
            expected = State.ONLINE if self.server_accepted else waiting
        assert self.session.states[Party.SERVER] is (State.CLOSED if self.over else expected)

    @invariant()
    def online_since_the_first_time(self):
        assert self.session.online_since == self.since
        assert self.session.settled is (self.session.state is State.ONLINE)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=300, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("party", Party)
def test_every_state_can_be_reached_and_left(party):
    machine = MACHINE[party]
    seen, todo = {State.CONNECTING}, [State.CONNECTING]
    while todo:
        for then in machine[todo.pop()].values():
            if then not in seen:
                seen.add(then)
                todo.append(then)
    assert seen == set(machine)
    assert {state for state, changes in machine.items() if not changes} == {State.CLOSED}
    assert all(Happening.CLOSED in changes for state, changes in machine.items() if state is not State.CLOSED)


def test_every_happening_changes_something():
    used = {what for machine in MACHINE.values() for changes in machine.values() for what in changes}
    assert used == set(Happening)


@pytest.mark.parametrize("party", Party)
def test_the_diagram_names_every_state_and_change(party):
    text = mermaid(party)
    lines = text.splitlines()
    assert lines[0] == "stateDiagram-v2"
    for state, changes in MACHINE[party].items():
        name = state.replace("-", "_")
        assert any(name in line.split() or name + ":" in line.split() for line in lines)
        for what, then in changes.items():
            assert f"    {name} --> {then.replace('-', '_')}: {what}" in lines
    assert set(State) - set(MACHINE[party]) <= {State.REJECTED}
