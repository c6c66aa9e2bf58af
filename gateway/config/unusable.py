"""What the config names and nobody can use."""


class Unusable(Exception):
    """A model, a provider or a server that the config names cannot be used. It carries no secret."""

    def __init__(self, key: str, problem: str, way_out: str) -> None:
        self.key, self.problem, self.way_out = key, problem, way_out
        super().__init__(f"{key}: {problem}; {way_out}")
