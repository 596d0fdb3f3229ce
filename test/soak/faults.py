"""The soak's faults: a function each, which does it, heals it, and returns
after that. What a server needs is started again; what is stopped goes on.

A function takes the soak's cluster and a random number generator of its own.
It raises Skipped with the reason where the machine can't do it, and another
error where it came to nothing. Where it may make readers reset, it says so
beforehand, cluster.may_reset(node, …): anywhere else a reset is a violation.
"""

import errno
import os
import random
import resource
import signal
import time

import psycopg

from cluster import kill, read, running, until


class Skipped(Exception):
    pass


def signal_for(pid, rng, shortest=0.5, longest=3.0):
    """Stop a process for a while."""
    kill(pid, signal.SIGSTOP)
    try:
        time.sleep(rng.uniform(shortest, longest))
    finally:
        kill(pid, signal.SIGCONT)


def clients_of(node):
    """Pids of the processes that serve clients."""
    return node.find(r"postgres: \w+: postgres postgres \[local\]")


def some_client(cluster, rng):
    """A session of a client's: its server, and the pid of its process there."""
    return rng.choice(until("clients", lambda: [
        (node, pid) for node in cluster.nodes for pid in clients_of(node)]))


def wait_for_notifier(cluster):
    return until("a notifier", lambda: cluster.primary.find("chatroom notifier"))[0]


def wait_for_tailer(node):
    return until(f"{node.name}'s worker", node.tailer)


def wait_for_another(node, pid):
    """The next worker. It starts a second later, by the wall clock: so this one
    must not be stepped before it has."""
    until(f"another worker of {node.name}'s", lambda: node.tailer() not in (None, pid))


def wait_until_open(node):
    """After a crash of one of its processes."""
    until(f"{node.name} to be back", lambda: node.try_value("SELECT 1") == 1)


def crash_process(node, pid):
    """kill -9 of one process: the postmaster makes all others end, and starts anew."""
    kill(pid)
    until("the killed process to go", lambda: not running(pid), pause=0.02)
    wait_until_open(node)


# ------------------------------------------------------------------- kill -9

def kill_primary(cluster, _rng):
    """kill -9 of the primary's postmaster"""
    cluster.primary.kill()
    cluster.primary.start()


def kill_standby(cluster, rng):
    """kill -9 of a standby's postmaster"""
    node = rng.choice(cluster.standbys())
    node.kill()
    node.start()


def kill_tailer(cluster, _rng):
    """kill -9 of the primary's tailer"""
    crash_process(cluster.primary, wait_for_tailer(cluster.primary))


def kill_standby_tailer(cluster, rng):
    """kill -9 of a standby's tailer"""
    node = rng.choice(cluster.standbys())
    crash_process(node, wait_for_tailer(node))


def kill_notifier(cluster, _rng):
    """kill -9 of the notifier"""
    crash_process(cluster.primary, wait_for_notifier(cluster))


def kill_backend(cluster, rng):
    """kill -9 of a client's backend"""
    crash_process(*some_client(cluster, rng))


# ----------------------------------------------------------------------- end

def end_tailer(cluster, rng):
    """SIGTERM of a tailer"""
    node = rng.choice(cluster.nodes)
    pid = wait_for_tailer(node)
    kill(pid, signal.SIGTERM)
    wait_for_another(node, pid)


def end_notifier(cluster, _rng):
    """SIGTERM of the notifier"""
    kill(wait_for_notifier(cluster), signal.SIGTERM)


def end_backends(cluster, rng):
    """SIGTERM of clients' backends"""
    for _ in range(3):
        kill(some_client(cluster, rng)[1], signal.SIGTERM)


# ------------------------------------------------------------------- SIGSTOP

def stop_tailer(cluster, rng):
    """SIGSTOP of the primary's tailer"""
    signal_for(wait_for_tailer(cluster.primary), rng)


def stop_standby_tailer(cluster, rng):
    """SIGSTOP of a standby's tailer"""
    signal_for(wait_for_tailer(rng.choice(cluster.standbys())), rng)


def stop_notifier(cluster, rng):
    """SIGSTOP of the notifier"""
    signal_for(wait_for_notifier(cluster), rng)


def stop_backend(cluster, rng):
    """SIGSTOP of a client's backend"""
    signal_for(some_client(cluster, rng)[1], rng)


def stop_walsender(cluster, rng):
    """SIGSTOP of a walsender"""
    signal_for(until("a walsender", lambda: cluster.primary.find("walsender"))[0], rng)


# ------------------------------------------------------------------ restarts

def restart_standby_fast(cluster, rng):
    """fast restart of a standby"""
    node = rng.choice(cluster.standbys())
    node.stop("fast")
    node.start()


def restart_standby_immediate(cluster, rng):
    """immediate restart of a standby"""
    node = rng.choice(cluster.standbys())
    node.stop("immediate")
    node.start()


def restart_primary(cluster, rng):
    """restart of the primary"""
    cluster.primary.stop(rng.choice(["fast", "immediate"]))
    cluster.primary.start()


def promote_after_crash(cluster, rng):
    """promotion after a crash, pg_rewind"""
    cluster.fail_over(crash=True, cut=rng.random() < 0.7)


def promote_planned(cluster, _rng):
    """planned promotion, pg_rewind"""
    cluster.fail_over(crash=False)


# ---------------------------------------------------------------- what is lost

def lose_slot(cluster, rng):
    """loss of the slot, and of the WAL it held"""
    cluster.settle()
    node = rng.choice(cluster.nodes)
    cluster.may_reset(node, "lose-slot")
    cluster.slot_lost[node] = time.monotonic()
    cluster.reconfigure(node, "wal_keep_size = 0\n")
    drop_slot(node)
    if node is cluster.primary:
        before = node.value("SELECT pg_switch_wal()::text")
        # what the standbys don't have yet must stay
        until("both standbys to have what goes", lambda: node.try_value(
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' "
            "AND flush_lsn >= %s::pg_lsn", (before,)) == 2)
    node.execute("CHECKPOINT")
    until("the slot to be made anew", lambda: node.try_value(
        "SELECT active FROM pg_replication_slots WHERE slot_name = 'chatroom'"))
    cluster.reconfigure(node)


def drop_slot(node):
    """It is in use but for the moment between two workers."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        kill(wait_for_tailer(node), signal.SIGTERM)
        for _ in range(200):
            try:
                if node.value("SELECT count(pg_drop_replication_slot(slot_name)) FROM "
                              "pg_replication_slots WHERE slot_name = 'chatroom' "
                              "AND NOT active") == 1:
                    return
            except psycopg.Error:
                pass
            time.sleep(0.01)
    raise RuntimeError(f"the slot of {node.name} can't be dropped")


def fill_wal_volume(cluster, rng):
    """full WAL volume"""
    node = cluster.primary
    if not node.small_wal:
        raise Skipped("pg_wal is on no volume of its own: that takes root, and the right to mount")
    ballast = os.path.dirname(node.wal) + "/ballast"
    before = len(read(node.log))

    def noticed():
        return "No space left" in read(node.log)[before:]
    try:
        fill_with(ballast)
        end = time.monotonic() + rng.uniform(2, 5)
        leave_segment(node)
        while time.monotonic() < end and not noticed():
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        os.unlink(ballast)
    if not noticed():
        raise RuntimeError("the WAL volume was never full")
    node.start()


def fill_with(path):
    """Write a file as large as the volume lets it get."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(1 << 20))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(file)


def leave_segment(node):
    """WAL goes on in another segment, as there is room still in this one."""
    try:
        with node.connect(options="-cstatement_timeout=5s") as connection:
            for _ in range(3):
                connection.execute("SELECT pg_switch_wal()")
                connection.execute("SELECT pg_logical_emit_message(false, 'ballast', "
                                   "repeat('x', 4000000))")
    except psycopg.Error:
        pass  # the server has gone


# ----------------------------------------------------------- clock and memory

def step_clock(cluster, rng, sign):
    node = rng.choice(cluster.nodes)
    offset = node.offset + sign * rng.choice([3, 60, 3600, 86400])
    node.set_clock(offset)
    time.sleep(1)
    shown = float(node.value("SELECT extract(epoch FROM clock_timestamp())"))
    if abs(shown - time.time() - offset) > 5:
        raise RuntimeError(f"the clock of {node.name} is {shown - time.time():.0f} s away, "
                           f"not {offset}")


def clock_forward(cluster, rng):
    """clock stepped forwards"""
    step_clock(cluster, rng, 1)


def clock_backward(cluster, rng):
    """clock stepped backwards"""
    step_clock(cluster, rng, -1)


def limit_memory(pids, seconds, meanwhile=lambda: None):
    """Let processes have no more memory than they have, for a while: what they
    ask for then is an error."""
    limited = []
    try:
        for pid in pids:
            pages = read(f"/proc/{pid}/statm").split()
            try:
                limit = int(pages[0]) * resource.getpagesize() if pages else 0
                if limit:
                    resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
                    limited.append(pid)
            except ProcessLookupError:
                pass
            except PermissionError as error:
                raise Skipped(f"no right to limit a process' memory: {error}") from None
        end = time.monotonic() + seconds
        meanwhile()
        time.sleep(max(0, end - time.monotonic()))
    finally:
        for pid in limited:
            try:
                resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            except ProcessLookupError:
                pass


def limit_backends(cluster, rng):
    """memory limit of clients' backends"""
    node, _pid = some_client(cluster, rng)
    limit_memory(clients_of(node), rng.uniform(1, 3))


def limit_tailer(cluster, rng):
    """memory limit of a tailer"""
    def write_much():
        # events that nobody follows, but that have to be kept until the commit
        with cluster.primary.connect() as connection, connection.transaction():
            connection.execute("SELECT count(chatroom.broadcast('soak:ballast', 'ballast', "
                               "to_jsonb(repeat('x', 200000)))) FROM generate_series(1, 15)")
            time.sleep(0.3)

    node = rng.choice(cluster.nodes)
    pid = wait_for_tailer(node)
    limit_memory([pid], rng.uniform(1, 3), write_much)
    if not running(pid):
        wait_for_another(node, pid)


# How often each is in a round of all of them.
FAULTS = {
    "kill-primary": (kill_primary, 2),
    "kill-standby": (kill_standby, 1),
    "kill-tailer": (kill_tailer, 2),
    "kill-standby-tailer": (kill_standby_tailer, 1),
    "kill-notifier": (kill_notifier, 1),
    "kill-backend": (kill_backend, 2),
    "end-tailer": (end_tailer, 2),
    "end-notifier": (end_notifier, 1),
    "end-backends": (end_backends, 1),
    "stop-tailer": (stop_tailer, 1),
    "stop-standby-tailer": (stop_standby_tailer, 1),
    "stop-notifier": (stop_notifier, 1),
    "stop-backend": (stop_backend, 2),
    "stop-walsender": (stop_walsender, 1),
    "restart-standby-fast": (restart_standby_fast, 1),
    "restart-standby-immediate": (restart_standby_immediate, 1),
    "restart-primary": (restart_primary, 1),
    "promote-after-crash": (promote_after_crash, 1),
    "promote-planned": (promote_planned, 1),
    "lose-slot": (lose_slot, 1),
    "fill-wal-volume": (fill_wal_volume, 1),
    "clock-forward": (clock_forward, 1),
    "clock-backward": (clock_backward, 1),
    "limit-backends": (limit_backends, 1),
    "limit-tailer": (limit_tailer, 1),
}


# Of those that may last while the next one comes, this part does.
LASTING = {"stop-tailer", "stop-standby-tailer", "stop-notifier", "stop-backend",
           "stop-walsender"}
LAST = 0.4


def schedule(seed, names):
    """Endlessly, faults: (name, random numbers, pause after it). Without a pause
    the next one comes while it lasts."""
    rng = random.Random(f"{seed} faults")
    number = 0
    while True:
        bag = [name for name in names for _ in range(FAULTS[name][1])]
        rng.shuffle(bag)
        for name in bag:
            number += 1
            lasts = rng.random() < LAST and name in LASTING
            yield name, random.Random(f"{seed} fault {number}"), \
                None if lasts else rng.uniform(0.5, 3.0)
