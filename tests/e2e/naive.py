"""A naive reader of a run's events: it joins deltas, counts begins and ends, trusts the order, and knows `replace` as
OpenClaw's own readers do. It runs beside the tests of restarts."""

from typing import Any


class NaiveReader:
    def __init__(self, protocol: int = 4) -> None:
        self.texts = {"assistant": "", "thinking": "", "chat": ""}
        self.begins = self.ends = self.replaced = 0
        self.wrong: list[str] = []
        self._protocol = protocol
        self._seq = 0

    def hear(self, name: str, payload: dict[str, Any]) -> None:
        """An `agent` or `chat` event of the run."""
        if payload["seq"] < self._seq:
            self.wrong.append(f"event {payload['seq']} came after {self._seq}")
        self._seq = payload["seq"]
        if self.ends > 1 or self.begins > 1:
            self.wrong.append(f"{self.begins} begins and {self.ends} ends")
        if name == "chat":
            if payload["state"] == "delta" and self._protocol >= 4:
                self._join("chat", payload["deltaText"], payload["message"]["content"][0]["text"], payload)
        elif payload["stream"] in self.texts:
            data = payload["data"]
            self._join(payload["stream"], data["delta"], data["text"], data)
        elif payload["stream"] == "lifecycle":
            self.begins += payload["data"]["phase"] == "start"
            self.ends += payload["data"]["phase"] in ("end", "error")

    def _join(self, stream: str, delta: str, text: str, data: dict[str, Any]) -> None:
        self.replaced += bool(data.get("replace"))
        if data.get("replace") or (delta == text and not text.startswith(self.texts[stream])):
            self.texts[stream] = ""  # another message begins
        self.texts[stream] += delta
        if self.texts[stream] != text:
            self.wrong.append(f"{stream}: joined are {self.texts[stream]!r}, and the text is {text!r}")
            self.texts[stream] = text
