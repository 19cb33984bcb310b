import pytest

from streamer.deployments.rollout import Rollout
from streamer.errors import ConfigError
from streamer.operate.rollout import Asked


def test_what_is_asked_for_goes_before_the_file(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("mode: shadow\nshare: 50%\nmin_agreement: 90%\naccuracy: {margin: 2%}\n")
    asked = Asked("mood", "2", share="20%", max_time="1h", file=file)
    given = {"mode": "shadow", "share": "20%", "max_time": "1h", "min_agreement": "90%"}
    assert asked.rollout() == Rollout.model_validate({**given, "accuracy": {"margin": "2%"}})
    assert Asked("mood", "2").rollout() == Rollout()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked("mood", "2", share="200%"), "a share lies between"),
        (Asked("mood", "2", max_time="soon"), "write a number with its unit"),
    ],
)
def test_what_is_wrong_is_said(asked, told):
    with pytest.raises(ConfigError, match=told):
        asked.rollout()


def test_a_rule_that_is_unknown_is_named_with_its_file(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("max_tim: 1h\n")
    with pytest.raises(ConfigError, match=r"rules\.yaml.*(\n.*)*max_tim"):
        Asked("mood", "2", file=file).rollout()
