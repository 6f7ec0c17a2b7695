"""A log of JSON, one object a line, for programs that collect logs."""

import json
import logging
from datetime import UTC, datetime

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
"""Fields that every record has."""


class JsonLines(logging.Formatter):
    """A record as a line of JSON: when, how bad, what, and the facts that it was logged with.

    What begins with an underscore is left out: libraries put notes of their own into every record (Ray a time, for
    instance).

    Example:
        >>> record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "created": 0, "status": 200})
        >>> JsonLines().format(record)
        '{"time": "1970-01-01T00:00:00.000+00:00", "level": "info", "event": "request", "status": 200}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = {name: value for name, value in vars(record).items() if name not in PLAIN and name[0] != "_"}
        line = {"time": when, "level": record.levelname.lower(), "event": record.getMessage(), **facts}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
