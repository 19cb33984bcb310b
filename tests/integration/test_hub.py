"""A model of the hub, from the command line: tried, added, and tried again with the hub gone."""

from support import tiny
from support.daemon import command
from support.hub import Hub, served


def test_a_model_of_the_hub_is_tried_and_added_with_no_word_too_many(tmp_path):
    folder = tiny.text_model(tmp_path / "made")
    hub = Hub("org/mood")
    commit = hub.commit({file.name: file.read_bytes() for file in folder.iterdir()})
    (tmp_path / "texts.txt").write_text("good\nawful\n")
    with served(hub) as address:
        environment = {
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_XET": "1",
            "STREAMER_MODELS__CACHE": str(tmp_path / "cache"),
            "STREAMER_MODELS__DIR": str(tmp_path / "models"),
        }

        def streamer(*arguments, **more):
            given = {**environment, **more}
            code, said = command("models", *arguments, environment=given, folder=tmp_path)
            assert code == 0, said
            return said

        said = streamer("try", "hf:org/mood", "texts.txt")
        assert "texts.txt:1  good" in said
        assert f"write=hf:org/mood@{commit}" in said
        assert "HTTP Request" not in said
        assert "Fetching" not in said
        added = streamer("add", f"hf:org/mood@{commit}", "--golden", "texts.txt")
        assert "registry:mood@1" in added
        hub.down = True
        again = streamer("try", "hf:org/mood", "texts.txt", HF_HUB_OFFLINE="1")
        assert "texts.txt:2  bad" in again
