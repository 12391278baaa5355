"""The ownership table, rule by rule; `docs/architecture.md` numbers them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from autolog.capture.ownership import Decision, decide

MODEL, OTHER = object(), object()


@dataclass
class Around:
    role: str
    owner: object = OTHER
    bridge: bool = False
    claims: int = 0

    def claim_first_training(self) -> bool:
        self.claims += 1
        return self.claims == 1

    def is_of(self, owner: object) -> bool:
        return self.owner is owner


@dataclass
class UserRun:
    attached: bool = False
    fits: str = "join"
    claims: int = 0

    def claim_first_training(self) -> bool:
        self.claims += 1
        return self.claims == 1


def test_rule_1_the_same_object_already_in_training_passes_through():
    assert decide("training", MODEL, [Around("training", MODEL)], None) is Decision.PASS
    inner = [Around("search"), Around("training", MODEL), Around("container")]
    assert decide("training", MODEL, inner, None) is Decision.PASS


def test_rule_2_a_worker_of_a_framework_creates_nothing():
    assert decide("training", MODEL, [], None, worker=True) is Decision.PASS
    assert decide("preparation", MODEL, [], None, worker=True) is Decision.PASS


def test_rule_3_the_outermost_training_owns_a_run():
    for role in ("training", "continuation", "search", "container", "study"):
        assert decide(role, MODEL, [], None) is Decision.OWN


def test_rule_4_a_lone_transformer_is_silent_and_inside_a_training_nothing():
    assert decide("preparation", MODEL, [], None) is Decision.SILENT
    assert decide("preparation", MODEL, [], UserRun()) is Decision.SILENT
    assert decide("preparation", MODEL, [Around("container")], None) is Decision.PASS
    assert decide("training", MODEL, [Around("preparation")], None) is Decision.FOLD


def test_rule_5_the_first_training_joins_the_users_run_and_others_are_children():
    run = UserRun()
    assert decide("training", MODEL, [], run) is Decision.JOIN
    assert decide("training", OTHER, [], run) is Decision.CHILD
    assert decide("continuation", MODEL, [], run) is Decision.CONTINUE


def test_rule_5_every_training_is_a_child_where_the_user_asked_for_it():
    run = UserRun(fits="children")
    assert decide("training", MODEL, [], run) is Decision.CHILD
    assert run.claims == 0


def test_rule_5_a_run_of_the_parent_process_is_never_joined():
    assert decide("training", MODEL, [], UserRun(attached=True)) is Decision.CHILD


def test_rule_6_the_first_training_in_a_trial_is_its_own_and_others_are_its_children():
    trial = Around("trial")
    assert decide("training", MODEL, [Around("study"), trial], None) is Decision.JOIN
    assert decide("training", OTHER, [Around("study"), trial], None) is Decision.PASS
    assert decide("training", MODEL, [Around("study"), trial], None) is Decision.CHILD
    assert decide("continuation", MODEL, [Around("study"), trial], None) is Decision.CONTINUE
    assert decide("evaluation", MODEL, [Around("study"), trial], None) is Decision.EVALUATE
    assert decide("part", MODEL, [Around("study"), trial], None) is Decision.SILENT
    assert decide("trial", MODEL, [Around("study")], None) is Decision.CHILD


def test_rule_6_a_study_has_children_and_every_other_owner_folds():
    assert decide("training", MODEL, [Around("study")], None) is Decision.CHILD
    assert decide("search", MODEL, [Around("study")], None) is Decision.CHILD
    for role in ("search", "container", "training"):
        assert decide("training", MODEL, [Around(role)], None) is Decision.FOLD
    nested = [Around("study"), Around("search")]
    assert decide("training", MODEL, nested, None) is Decision.FOLD


def test_rule_6_a_piece_of_a_container_is_silent_and_alone_it_is_nothing():
    for role in ("search", "container", "training", "evaluation"):
        assert decide("part", MODEL, [Around(role)], None) is Decision.SILENT
    assert decide("part", MODEL, [], None) is Decision.PASS
    assert decide("part", MODEL, [], UserRun()) is Decision.PASS


@pytest.mark.parametrize(
    "role", ["training", "container", "search", "study", "part", "evaluation", "preparation"]
)
def test_rule_6_nothing_inside_a_piece_is_looked_at(role: str):
    around = [Around("search"), Around("part")]
    assert decide(role, MODEL, around, UserRun()) is Decision.PASS


@pytest.mark.parametrize("user_run", [None, UserRun(), UserRun(fits="children")])
def test_rule_6_a_container_whose_integration_is_off_waits_for_something_to_record(user_run):
    assert decide("search", MODEL, [], user_run, bridge=True) is Decision.DEFER
    assert decide("search", MODEL, [Around("study")], user_run, bridge=True) is Decision.DEFER
    assert decide("container", MODEL, [Around("search")], user_run, bridge=True) is Decision.FOLD
    assert user_run is None or user_run.claims == 0


def test_rule_6_the_first_training_inside_such_a_container_speaks_for_it():
    around = Around("container", bridge=True)
    assert decide("container", object(), [around], None, bridge=True) is Decision.FOLD
    assert decide("training", MODEL, [around], None) is Decision.JOIN
    assert decide("training", object(), [around], None) is Decision.FOLD
    study = Around("study", bridge=True)
    assert decide("training", MODEL, [study], None) is Decision.CHILD


@pytest.mark.parametrize("role", ["search", "training", "preparation", "study"])
def test_rule_9_an_evaluation_counts_only_outside_of_a_training(role: str):
    assert decide("evaluation", MODEL, [], None) is Decision.EVALUATE
    assert decide("evaluation", MODEL, [], UserRun()) is Decision.EVALUATE
    assert decide("evaluation", MODEL, [Around(role)], None) is Decision.PASS


def test_rule_9_a_metric_inside_an_evaluation_is_only_watched():
    assert decide("evaluation", OTHER, [Around("evaluation", MODEL)], None) is Decision.WATCH


def test_an_estimator_that_trains_while_it_is_evaluated_opens_no_run():
    assert decide("training", OTHER, [Around("evaluation", MODEL)], None) is Decision.FOLD
