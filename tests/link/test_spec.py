"""What an agent is told of a run."""

from gateway.link.messages import Start
from gateway.link.spec import Compaction, Model, Route, Server, Spec, Tls


def test_no_secret_is_in_what_is_logged() -> None:
    tls = Tls(key="s3cret", passphrase="s3cret")
    model = Model(
        "p",
        "m",
        "openai-completions",
        api_key="s3cret",
        headers={"x": "s3cret"},
        way=Route("http://s3cret@p", tls, tls),
    )
    server = Server("files", env={"KEY": "s3cret"}, headers={"x": "s3cret"}, args=["s3cret"])
    spec = Spec("s", "main", {}, [model], servers=[server], compaction=Compaction(model=model, models=[model]))
    assert "s3cret" not in repr(Start("r", spec)) and "Model(p/m)" in repr(spec) and "Server(files)" in repr(spec)
