"""A stand-in for LM Studio: its websocket protocol, as far as its real client needs it, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Recorder", "serving"]

INFO = {
    "identifier": "m",
    "instanceReference": "r",
    "modelKey": "m",
    "path": "m",
    "format": "gguf",
    "displayName": "m",
    "sizeBytes": 1,
    "type": "llm",
    "vision": True,
    "trainedForToolUse": False,
    "maxContextLength": 512,
    "contextLength": 512,
}
ENDED = {
    "type": "success",
    "stats": {"stopReason": "eosFound"},
    "modelInfo": INFO,
    "loadModelConfig": {"fields": []},
    "predictionConfig": {"fields": []},
}


class Recorder:
    """What was asked for: the models, the histories and schemas of predictions; and what is answered."""

    def __init__(self) -> None:
        self.address = ""
        self.pieces: list[str] = ["yes"]
        self.models: list[Any] = []
        self.predictions: list[dict[str, Any]] = []
        self.uploads: list[str] = []

    def answers(self, frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the messages that answer a frame of the client."""
        kind, endpoint = frame["type"], frame.get("endpoint")
        if kind == "rpcCall":
            if endpoint == "uploadFileBase64":
                self.uploads.append(frame["parameter"]["contentBase64"])
                result = {
                    "identifier": f"file-{len(self.uploads)}",
                    "fileType": "image",
                    "name": "image",
                    "sizeBytes": 1,
                }
            else:
                result = [INFO] if endpoint == "listLoaded" else INFO
            yield {"type": "rpcResult", "callId": frame["callId"], "result": result}
            return
        if kind != "channelCreate":
            return
        channel = frame["channelId"]
        parameter = frame["creationParameter"]
        if endpoint == "predict":
            self.predictions.append(parameter)
            messages = [
                {
                    "type": "fragment",
                    "fragment": {
                        "content": piece,
                        "tokensCount": 1,
                        "containsDrafted": False,
                        "reasoningType": "none",
                    },
                }
                for piece in self.pieces
            ] + [ENDED]
        else:
            self.models.append(parameter.get("identifier") or parameter.get("specifier"))
            messages = [{"type": "success", "info": INFO}]
        for message in messages:
            yield {"type": "channelSend", "channelId": channel, "message": message}
        yield {"type": "channelClose", "channelId": channel}

    def schema(self) -> Any:
        """Give the schema of the last prediction, None if it had none."""
        stacks = self.predictions[-1]["predictionConfigStack"]["layers"]
        fields = [field for layer in stacks for field in layer["config"]["fields"]]
        for field in fields:
            if field["key"] == "llm.prediction.structured":
                return field["value"].get("jsonSchema")
        return None

    def history(self) -> list[tuple[str, list[Any]]]:
        """Give the roles of the last prediction's messages, with their texts and files."""
        return [
            (message["role"], [part.get("text") or part.get("identifier") for part in message["content"]])
            for message in self.predictions[-1]["history"]["messages"]
        ]


@contextmanager
def serving() -> Iterator[Recorder]:
    """Run the stand-in while the block runs."""
    from websockets.sync.server import serve

    recorder = Recorder()

    def handle(connection: Any) -> None:
        connection.recv()  # who it is
        connection.send(json.dumps({"success": True}))
        for text in connection:
            for answer in recorder.answers(json.loads(text)):
                connection.send(json.dumps(answer))

    def greet(connection: Any, request: Any) -> Any:
        if request.path == "/lmstudio-greeting":
            response = connection.respond(200, json.dumps({"lmstudio": True}))
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "application/json"
            return response
        return None

    with serve(handle, "127.0.0.1", 0, process_request=greet) as server:
        recorder.address = f"127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()
