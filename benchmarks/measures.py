"""Two tables of `make bench`: the figures, and the places that measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .workers import Place

OURS_FILES = ("MNEMOSCOPE_MULTIPROC_DIR",)
PROMETHEUS_FILES = ("PROMETHEUS_MULTIPROC_DIR",)

PLACES: Mapping[str, Place] = {
    "single process": Place(),
    "all CPUs": Place(pinned=False),
    "installed": Place("installed"),
    "ours, files": Place(directories=OURS_FILES),
    "ours, dead workers": Place(directories=OURS_FILES),
    "ours, dying workers": Place(directories=OURS_FILES),
    "prometheus, files": Place(directories=PROMETHEUS_FILES),
    "prometheus, dead workers": Place(directories=PROMETHEUS_FILES),
    "order of locks": Place(variables={"MNEMOSCOPE_LOCK_ORDER": "on"}),
    "autometrics, prometheus": Place("autometrics", variables={"AUTOMETRICS_TRACKER": "prometheus"}),
    "autometrics, opentelemetry": Place("autometrics", variables={"AUTOMETRICS_TRACKER": "opentelemetry"}),
}

SINGLE, ALL_CPUS, INSTALLED = "single process", "all CPUs", "installed"
NANOSECONDS, MILLISECONDS, SECONDS_A_MINUTE, BYTES, MODULES = "ns", "ms", "s/min", "B", "modules"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure, sampled once a round.

    Attributes:
        title: what it is, as the report shows it.
        place: key of the kind of process that measures it.
        case: `module:function` below `benchmarks.cases`.
        unit: of each sample.
    """

    title: str
    place: str
    case: str
    unit: str = NANOSECONDS


MEASURES: Mapping[str, Measure] = {
    # Per call, over a bare call.
    "bare": Measure("bare call (not over anything)", SINGLE, "floor:bare_call"),
    "bare await": Measure("bare await (not over anything)", SINGLE, "floor:bare_await"),
    "floor": Measure("floor: wrapper with two perf_counter reads", SINGLE, "floor:decorated"),
    "floor coroutine": Measure("floor: coroutine with two perf_counter reads", SINGLE, "floor:coroutine"),
    "ours": Measure("mnemoscope, decorated", SINGLE, "ours:decorated"),
    "ours coroutine": Measure("mnemoscope, decorated coroutine", SINGLE, "ours:coroutine"),
    "ours inline": Measure("mnemoscope, `with index_write(...)`", SINGLE, "ours:inline_block"),
    "ours kept": Measure("mnemoscope, `with` a probe made before", SINGLE, "ours:kept_block"),
    "ours nested": Measure("mnemoscope, `with probe, probe`: each of the two", SINGLE, "ours:nested_block"),
    "ours shared": Measure("mnemoscope, one kept probe, 8 concurrent threads", ALL_CPUS, "ours:shared_block"),
    "ours storage": Measure("mnemoscope, decorated with `storage(...)`", SINGLE, "ours:storage_decorated"),
    "ours observe": Measure("mnemoscope, bound observe", SINGLE, "ours:observe"),
    "ours observe spread": Measure("mnemoscope, bound observe, over many buckets", SINGLE, "ours:observe_spread"),
    "ours counter": Measure("mnemoscope, bound inc", SINGLE, "ours:counter"),
    "ours counter labels": Measure("mnemoscope, inc by labels", SINGLE, "ours:counter_by_labels"),
    "ours in flight": Measure("mnemoscope, completion: in flight, peak, duration", SINGLE, "ours:in_flight"),
    "prometheus labels": Measure("prometheus_client, `with labels().time()`", SINGLE, "prometheus:labels_time"),
    "prometheus bound": Measure("prometheus_client, bound time() decorator", SINGLE, "prometheus:bound_time_decorator"),
    "prometheus block": Measure("prometheus_client, `with` bound time()", SINGLE, "prometheus:bound_time_block"),
    "prometheus observe": Measure("prometheus_client, bound observe", SINGLE, "prometheus:observe"),
    "prometheus observe spread": Measure(
        "prometheus_client, bound observe, over many buckets", SINGLE, "prometheus:observe_spread"
    ),
    "prometheus counter": Measure("prometheus_client, bound inc", SINGLE, "prometheus:counter"),
    "prometheus counter labels": Measure("prometheus_client, labels().inc()", SINGLE, "prometheus:counter_by_labels"),
    "prometheus in progress": Measure("prometheus_client, track_inprogress alone", SINGLE, "prometheus:in_progress"),
    "prometheus-async": Measure("prometheus-async, time, bound", SINGLE, "async_prometheus:coroutine"),
    "otel": Measure("OpenTelemetry SDK, decorated", SINGLE, "opentelemetry:decorated"),
    "otel coroutine": Measure("OpenTelemetry SDK, decorated coroutine", SINGLE, "opentelemetry:coroutine"),
    "otel counter": Measure("OpenTelemetry SDK, add", SINGLE, "opentelemetry:counter"),
    "aioprometheus": Measure("aioprometheus, timer", SINGLE, "aio_prometheus:decorated"),
    "aioprometheus coroutine": Measure("aioprometheus, timer on a coroutine", SINGLE, "aio_prometheus:coroutine"),
    "aioprometheus counter": Measure("aioprometheus, inc", SINGLE, "aio_prometheus:counter"),
    "autometrics": Measure("autometrics (Prometheus), decorated", "autometrics, prometheus", "auto_metrics:decorated"),
    "autometrics coroutine": Measure(
        "autometrics (Prometheus), decorated coroutine", "autometrics, prometheus", "auto_metrics:coroutine"
    ),
    "autometrics otel": Measure(
        "autometrics (OpenTelemetry), decorated", "autometrics, opentelemetry", "auto_metrics:decorated"
    ),
    # Single calls.
    "floor p50": Measure("floor, median", SINGLE, "tail:floor_p50"),
    "floor p99": Measure("floor, 99th percentile", SINGLE, "tail:floor_p99"),
    "floor p99.9": Measure("floor, 99.9th percentile", SINGLE, "tail:floor_p999"),
    "ours p50": Measure("mnemoscope, decorated, median", SINGLE, "tail:ours_p50"),
    "ours p99": Measure("mnemoscope, decorated, 99th percentile", SINGLE, "tail:ours_p99"),
    "ours p99.9": Measure("mnemoscope, decorated, 99.9th percentile", SINGLE, "tail:ours_p999"),
    "prometheus p50": Measure("prometheus_client, labels().time(), median", SINGLE, "tail:prometheus_p50"),
    "prometheus p99": Measure("prometheus_client, labels().time(), 99th percentile", SINGLE, "tail:prometheus_p99"),
    "prometheus p99.9": Measure(
        "prometheus_client, labels().time(), 99.9th percentile", SINGLE, "tail:prometheus_p999"
    ),
    # Tenants.
    "ours 1 tenant": Measure("mnemoscope, `with storage(tenant, ...)`, 1 tenant", SINGLE, "tenants:ours_1"),
    "ours 900 tenants": Measure("mnemoscope, 900 tenants", SINGLE, "tenants:ours_900"),
    "ours 1,100 tenants": Measure("mnemoscope, 1,100 tenants", SINGLE, "tenants:ours_1100"),
    "ours 5,000 tenants": Measure("mnemoscope, 5,000 tenants", SINGLE, "tenants:ours_5000"),
    "ours lambda": Measure("mnemoscope, 1 tenant, `is_error=lambda ...` in the block", SINGLE, "tenants:ours_lambda"),
    "prometheus 1 tenant": Measure(
        "prometheus_client, `with labels().time()`, 1 tenant", SINGLE, "tenants:prometheus_1"
    ),
    "prometheus 5,000 tenants": Measure("prometheus_client, 5,000 tenants, no cap", SINGLE, "tenants:prometheus_5000"),
    # Multi-process mode.
    "ours files": Measure("mnemoscope, multi-process, decorated", "ours, files", "ours:multiprocess_decorated"),
    "ours files inline": Measure(
        "mnemoscope, multi-process, `with index_write(...)`", "ours, files", "ours:multiprocess_inline_block"
    ),
    "ours files counter": Measure("mnemoscope, multi-process, bound inc", "ours, files", "ours:multiprocess_counter"),
    "prometheus files": Measure(
        "prometheus_client, multi-process, `with labels().time()`",
        "prometheus, files",
        "prometheus:multiprocess_labels_time",
    ),
    "prometheus files bound": Measure(
        "prometheus_client, multi-process, bound time() decorator",
        "prometheus, files",
        "prometheus:multiprocess_bound_time",
    ),
    "prometheus files observe": Measure(
        "prometheus_client, multi-process, bound observe", "prometheus, files", "prometheus:multiprocess_observe"
    ),
    "prometheus files counter": Measure(
        "prometheus_client, multi-process, bound inc", "prometheus, files", "prometheus:multiprocess_counter"
    ),
    # Threads.
    "floor 1 thread": Measure("floor, 1 thread", ALL_CPUS, "floor:one_thread"),
    "floor 8 threads": Measure("floor, 8 threads", ALL_CPUS, "floor:eight_threads"),
    "floor 1 thread wall": Measure("floor, 1 thread, wall clock", ALL_CPUS, "floor:one_thread_wall"),
    "floor 8 threads wall": Measure("floor, 8 threads, wall clock", ALL_CPUS, "floor:eight_threads_wall"),
    "ours 1 thread": Measure("mnemoscope, decorated, 1 thread", ALL_CPUS, "ours:one_thread"),
    "ours 8 threads": Measure("mnemoscope, decorated, 8 threads", ALL_CPUS, "ours:eight_threads"),
    "ours 1 thread wall": Measure("mnemoscope, 1 thread, wall clock", ALL_CPUS, "ours:one_thread_wall"),
    "ours 8 threads wall": Measure("mnemoscope, 8 threads, wall clock", ALL_CPUS, "ours:eight_threads_wall"),
    "prometheus 1 thread": Measure("prometheus_client, labels().time(), 1 thread", ALL_CPUS, "prometheus:one_thread"),
    "prometheus 8 threads": Measure(
        "prometheus_client, labels().time(), 8 threads", ALL_CPUS, "prometheus:eight_threads"
    ),
    # Scrapes.
    "ours scrape": Measure("mnemoscope", SINGLE, "scrape:ours", MILLISECONDS),
    "prometheus scrape": Measure("prometheus_client, generate_latest", SINGLE, "scrape:prometheus", MILLISECONDS),
    "aioprometheus scrape": Measure("aioprometheus, render", SINGLE, "scrape:aioprometheus", MILLISECONDS),
    "ours eight": Measure("mnemoscope", "ours, files", "processes:our_eight", MILLISECONDS),
    "prometheus eight": Measure(
        "prometheus_client, MultiProcessCollector", "prometheus, files", "processes:prometheus_eight", MILLISECONDS
    ),
    "ours none dead": Measure("mnemoscope, no dead worker", "ours, files", "processes:our_none_dead", MILLISECONDS),
    "ours dead": Measure("mnemoscope, 800 dead workers", "ours, dead workers", "processes:our_dead", MILLISECONDS),
    "ours first after dead": Measure(
        "mnemoscope, first scrape after 800 have died",
        "ours, dying workers",
        "processes:our_first_after_dead",
        MILLISECONDS,
    ),
    "prometheus none dead": Measure(
        "prometheus_client, no dead worker", "prometheus, files", "processes:prometheus_none_dead", MILLISECONDS
    ),
    "prometheus dead": Measure(
        "prometheus_client, 800 dead workers", "prometheus, dead workers", "processes:prometheus_dead", MILLISECONDS
    ),
    "ours idle": Measure("mnemoscope", "ours, files", "processes:our_idle", SECONDS_A_MINUTE),
    "prometheus idle": Measure("prometheus_client", "prometheus, files", "processes:prometheus_idle", SECONDS_A_MINUTE),
    # Event loop.
    "idle loop": Measure("nothing asked of the server, wall clock", ALL_CPUS, "event_loop:idle_wall", MILLISECONDS),
    "ours loop wall": Measure("mnemoscope, asgi_app, wall clock", ALL_CPUS, "event_loop:ours_wall", MILLISECONDS),
    "ours loop": Measure("mnemoscope, asgi_app", ALL_CPUS, "event_loop:ours", MILLISECONDS),
    "ours loop plain": Measure(
        "mnemoscope, asgi_app, without gzip", ALL_CPUS, "event_loop:ours_without_gzip", MILLISECONDS
    ),
    "prometheus loop": Measure("prometheus_client, make_asgi_app", ALL_CPUS, "event_loop:prometheus", MILLISECONDS),
    "aioprometheus loop": Measure(
        "aioprometheus, render (it has no gzip)", ALL_CPUS, "event_loop:aioprometheus", MILLISECONDS
    ),
    # Memory.
    "ours child": Measure("mnemoscope", SINGLE, "memory:ours", BYTES),
    "ours child rendered": Measure("mnemoscope, with kept text of its lines", SINGLE, "memory:ours_rendered", BYTES),
    "prometheus child": Measure("prometheus_client", SINGLE, "memory:prometheus", BYTES),
    "ours series": Measure("mnemoscope, full journal", SINGLE, "memory:ours_under_traffic", BYTES),
    "ours series rendered": Measure(
        "mnemoscope, full journal, with kept text of its lines", SINGLE, "memory:ours_rendered_under_traffic", BYTES
    ),
    "prometheus series": Measure("prometheus_client", SINGLE, "memory:prometheus_under_traffic", BYTES),
    # Import.
    "ours import": Measure("import mnemoscope", INSTALLED, "imports:ours", MILLISECONDS),
    "ours import cpu": Measure("import mnemoscope, CPU time", INSTALLED, "imports:ours_cpu_time", MILLISECONDS),
    "prometheus import": Measure("import prometheus_client", INSTALLED, "imports:prometheus", MILLISECONDS),
    "prometheus import cpu": Measure(
        "import prometheus_client, CPU time", INSTALLED, "imports:prometheus_cpu_time", MILLISECONDS
    ),
    "otel import": Measure("import opentelemetry.sdk.metrics", INSTALLED, "imports:opentelemetry", MILLISECONDS),
    "foreign modules": Measure(
        "modules that are neither ours nor the standard library's", INSTALLED, "imports:foreign_modules", MODULES
    ),
    # Locks.
    "standard lock": Measure("threading.Lock, `with`", SINGLE, "locks:standard_block"),
    "our lock": Measure("mnemoscope Lock, `with`", SINGLE, "locks:our_block"),
    "our tracked lock": Measure("mnemoscope Lock, `with`, order tracked", "order of locks", "locks:our_block"),
    "plain wrapper": Measure("plain wrapper with two lists, `with`", SINGLE, "locks:plain_wrapper"),
    "our rlock": Measure("mnemoscope RLock, `with`", SINGLE, "locks:our_rlock_block"),
    "observed lock": Measure("mnemoscope observe_lock, `with`", SINGLE, "locks:observed_block"),
    "locklib": Measure("locklib SmartLock, `with`", SINGLE, "locks_locklib:smart_lock"),
    "threadle": Measure("threadle TrackedLock, acquire() and release()", SINGLE, "locks_threadle:tracked_lock"),
    "oslo": Measure("oslo.concurrency, `with lockutils.lock(name)`", SINGLE, "locks_oslo:named_lock"),
    "standard lock calls": Measure("threading.Lock, acquire() and release()", SINGLE, "locks:standard_calls"),
    "our lock calls": Measure("mnemoscope Lock, acquire() and release()", SINGLE, "locks:our_calls"),
    "standard contended": Measure("threading.Lock, 8 threads", ALL_CPUS, "locks:standard_contended"),
    "our contended": Measure("mnemoscope Lock, 8 threads", ALL_CPUS, "locks:our_contended"),
    "standard readers": Measure("threading.Lock, 8 threads that read", ALL_CPUS, "locks:standard_readers"),
    "our readers": Measure("mnemoscope RWLock, 8 threads that read", ALL_CPUS, "locks:our_readers"),
}
