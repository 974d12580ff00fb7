"""A collector of telemetry: takes OTLP over HTTP, checks it against OpenTelemetry's own messages, and writes what it got.

usage: collector.py PORT_FILE OUTPUT_FILE [SPAN]     (PYTHONPATH has opentelemetry-proto)

With SPAN it is killed by the first traces with a span of that name, before it has answered.
"""

import base64
import http.server
import json
import os
import signal
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


def with_bytes(value):
    """OTLP's JSON writes identifiers in hexadecimal, where protobuf's JSON has base64."""
    if isinstance(value, list):
        return [with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    identifiers = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode() if key in identifiers else with_bytes(item)
        for key, item in value.items()
    }


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = MESSAGES[self.path]()
        if self.headers["content-type"] == "application/json":
            # An unknown field is an error.
            json_format.ParseDict(with_bytes(json.loads(body)), message)
        else:
            message.ParseFromString(body)
        records = summary(message)
        with open(sys.argv[2], "a") as output:
            output.write(json.dumps({"path": self.path, "message": records}) + "\n")
        if self.path == "/v1/traces" and any(span["name"] in sys.argv[3:] for span in records):
            os.kill(os.getpid(), signal.SIGKILL)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def summary(message):
    """What a test looks at, out of messages that were parsed."""
    if isinstance(message, ExportTraceServiceRequest):
        return [
            {
                "service": attributes(resource.resource.attributes).get("service.name"),
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "name": span.name,
                "kind": span.kind,
                "status": span.status.code,
                "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
                "attributes": attributes(span.attributes),
            }
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    if isinstance(message, ExportLogsServiceRequest):
        return [
            {"trace": log.trace_id.hex(), "body": log.body.string_value, "severity": log.severity_text}
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for log in scope.log_records
        ]
    return [
        {"name": metric.name, "unit": metric.unit, "kind": metric.WhichOneof("data")}
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
with open(sys.argv[1] + ".new", "w") as port:
    port.write(str(server.server_address[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
