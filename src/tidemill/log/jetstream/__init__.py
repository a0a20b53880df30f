"""The log over NATS JetStream: a stream of three replicas for each partition."""

from tidemill.log.jetstream.link import JetStreamLink
from tidemill.log.jetstream.log import JetStreamLog
from tidemill.log.jetstream.names import LogAddress, parse_log_address
from tidemill.log.jetstream.reader import JetStreamLogReader

__all__ = ["JetStreamLink", "JetStreamLog", "JetStreamLogReader", "LogAddress", "parse_log_address"]
