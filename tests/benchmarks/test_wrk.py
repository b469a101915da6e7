"""What wrk reports is read as it writes it."""

import pytest

from benchmarks.harness.wrk import parsed

REPORT = """\
Running 3s test @ http://127.0.0.1:8000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    21.10ms   12.24ms 170.22ms   91.67%
    Req/Sec     3.24k   449.47     4.14k    79.31%
  Latency Distribution
     50%  950.00us
     75%   22.04ms
     90%   27.85ms
     99%    1.21s
  9343 requests in 3.01s, 10.55MB read
Requests/sec:   3104.45
Transfer/sec:      3.51MB
"""


def test_a_report_has_requests_a_second_and_latencies_in_milliseconds():
    assert parsed(REPORT) == pytest.approx((3104.45, 0.95, 1210.0, 0))


def test_answers_that_are_no_good_ones_and_broken_connections_have_failed():
    bad = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 40\n"

    load = parsed(REPORT.replace("Requests/sec", f"{bad}Requests/sec"))

    assert load.failed == 46
    assert load.requests_per_s == pytest.approx(3104.45 * 9303 / 9343)


def test_a_report_that_says_something_else_is_refused():
    with pytest.raises(ValueError, match="wrk did not report"):
        parsed("unable to connect")
