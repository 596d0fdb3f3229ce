"""Three servers of a primary and two streaming standbys, for the soak.

Each server is a child of this process, so it is known when it has ended; its
folder is in CHATROOM_OUT, its WAL in CHATROOM_SOAK_WAL if that is set: then
each has a small file system of its own for it. All listen on Unix sockets only.
A commit waits for one of the standbys, so who is promoted, the furthest, has
all that was acknowledged.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psycopg

NAMES = ["ann", "bob", "cid"]
PATIENCE = 120  # for anything to happen, in seconds

SETTINGS = """
shared_preload_libraries = chatroom
listen_addresses = ''
max_connections = 80
max_prepared_transactions = 20
max_worker_processes = 16
max_wal_senders = 10
max_replication_slots = 10
shared_buffers = 32MB
synchronous_standby_names = 'ANY 1 (ann, bob, cid)'
checkpoint_timeout = 30s
max_wal_size = 64MB
# so that a full volume is met at the next segment
min_wal_size = 8MB
wal_recycle = off
wal_keep_size = 96MB
wal_retrieve_retry_interval = 500ms
max_standby_streaming_delay = 5s
max_standby_archive_delay = 5s
log_line_prefix = '%m [%p] %b: %e '
log_checkpoints = off
chatroom.cache_size = 64MB
chatroom.retain_wal = 64MB
"""

def until(what, condition, patience=PATIENCE, pause=0.1):
    """Wait for a condition; what it returned."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(pause)
    raise RuntimeError("timed out waiting for " + what)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def running(pid):
    """Is it there, and not just waiting to be buried?"""
    state = re.search(r"^State:\s+(\w)", read(f"/proc/{pid}/status"), re.M)
    return state is not None and state[1] not in "ZX"


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def run(*command, log, stdin=None):
    with open(log, "ab") as file:
        return subprocess.run(command, stdin=stdin or subprocess.DEVNULL, stdout=file,
                              stderr=file, check=False).returncode


class Node:
    def __init__(self, cluster, name, port):
        self.cluster, self.name, self.port = cluster, name, port
        self.folder = f"{cluster.out}/{name}"
        self.data, self.log = self.folder + "/data", self.folder + "/log"
        wal = os.environ.get("CHATROOM_SOAK_WAL")
        self.small_wal = bool(wal)
        self.wal = f"{wal}/{name}/wal" if wal else self.folder + "/wal"
        self.clock = self.folder + "/clock"
        self.process = None
        os.makedirs(self.folder, mode=0o700)
        self.set_clock(0)

    # --------------------------------------------------------- configuration

    def configure(self, primary=None, more=""):
        """Write the settings; with a primary, as its standby."""
        text = SETTINGS + more + f"port = {self.port}\ncluster_name = {self.name}\n" \
            f"unix_socket_directories = '{self.cluster.sockets}'\n"
        if primary:
            text += "primary_conninfo = '" + \
                primary.conninfo(application_name=self.name, dbname=None) + "'\n"
        with open(self.folder + "/new.conf", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.folder + "/new.conf", self.folder + "/postgresql.conf")

    def conninfo(self, **more):
        parts = {"host": self.cluster.sockets, "port": self.port, "user": "postgres",
                 "dbname": "postgres", "connect_timeout": 5, **more}
        return " ".join(f"{key}={value}" for key, value in parts.items() if value is not None)

    def set_clock(self, seconds):
        """The server's clock is so far from the real one: see clock.c."""
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "wb") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
        self.offset = seconds

    def environment(self):
        return dict(os.environ, LD_PRELOAD=f"{self.cluster.out}/clock.so", SOAK_CLOCK=self.clock)

    # ----------------------------------------------------------- the process

    def postmaster(self):
        """Its process id, if it runs."""
        if self.process is None or self.process.poll() is not None:
            return None
        return self.process.pid

    def processes(self):
        """{pid: what ps shows} of the postmaster's children."""
        pid = self.postmaster()
        if pid is None:
            return {}
        children = read(f"/proc/{pid}/task/{pid}/children").split()
        return {int(child): read(f"/proc/{child}/cmdline").replace("\0", " ").strip()
                for child in children}

    def find(self, pattern):
        """Process ids of children whose title has this."""
        return [pid for pid, title in self.processes().items() if re.search(pattern, title)]

    def tailer(self):
        return next(iter(self.find("chatroom tailer")), None)

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["postgres", "-D", self.data, "-c", f"config_file={self.folder}/postgresql.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
                cwd=self.folder)

    def start(self):
        """Start it, again where it ends at once, until it takes connections."""
        def answers():
            if self.postmaster() is None:
                self.launch()
                time.sleep(0.3)
            return self.try_value("SELECT 1") == 1
        until(f"{self.name} to start", answers)

    def stop(self, how="fast"):
        """fast or immediate; whoever is stopped goes on first."""
        if self.postmaster() is None:
            return
        children = self.processes()
        for pid in children:
            kill(pid, signal.SIGCONT)
        self.process.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.name} doesn't stop ({how}); its processes: "
                               f"{self.processes()}") from None

    def kill(self, family=False):
        """kill -9 of the postmaster, or of all its processes. Returns when none is left."""
        children = self.processes()
        if self.postmaster():
            self.process.kill()
        self.process.wait()
        for pid in children:
            kill(pid, signal.SIGKILL if family else signal.SIGCONT)
        end = time.monotonic() + 20
        while any(running(pid) for pid in children):
            if time.monotonic() > end:
                raise RuntimeError(f"processes of {self.name} outlive its postmaster: " + str(
                    {pid: title for pid, title in children.items() if running(pid)}))
            time.sleep(0.02)

    # ------------------------------------------------------------------- SQL

    def connect(self, **more):
        return psycopg.connect(self.conninfo(application_name="soak", **more), autocommit=True)

    def value(self, sql, params=None):
        with self.connect(options="-cstatement_timeout=30s") as connection:
            row = connection.execute(sql, params).fetchone()
            return row and row[0]

    def execute(self, sql):
        with self.connect() as connection:
            connection.execute(sql)

    def try_value(self, sql, params=None):
        """The same; None where the server is away, or says no."""
        try:
            return self.value(sql, params)
        except psycopg.Error:
            return None


class Cluster:
    def __init__(self, out, sockets):
        self.out, self.sockets = out, sockets
        self.nodes = [Node(self, name, 5001 + i) for i, name in enumerate(NAMES)]
        self.primary = self.nodes[0]
        self.rewinds = 0  # those that had something to do
        self.may_reset = lambda node, kind: None  # called before readers may be reset on it
        self.slot_lost = {}  # node: when its slot was dropped

    def reconfigure(self, node, more=""):
        """Change the settings of a server that runs."""
        node.configure(None if node is self.primary else self.primary, more)
        node.execute("SELECT pg_reload_conf()")

    def standbys(self):
        return [node for node in self.nodes if node is not self.primary]

    def conninfo(self, attrs, name, first=0):
        """For all servers, beginning with one of them."""
        order = self.nodes[first:] + self.nodes[:first]
        return (f"host={','.join(self.sockets for _ in order)} "
                f"port={','.join(str(node.port) for node in order)} user=postgres "
                f"dbname=postgres connect_timeout=5 target_session_attrs={attrs} "
                f"application_name={name}")

    def create(self):
        primary = self.primary
        if run("cc", "-shared", "-fPIC", "-O1", "-o", f"{self.out}/clock.so",
               os.path.dirname(os.path.abspath(__file__)) + "/clock.c", log=self.out + "/cc.log"):
            raise RuntimeError("clock.c doesn't compile: see cc.log")
        primary.configure()
        os.makedirs(os.path.dirname(primary.wal), exist_ok=True)
        if run("initdb", "-N", "-k", "-E", "UTF8", "--locale=C", "-U", "postgres",
               "-A", "trust", "--wal-segsize=4", "-X", primary.wal, "-D", primary.data,
               log=primary.log):
            raise RuntimeError("initdb: see " + primary.log)
        primary.start()
        for node in self.standbys():
            self.copy(node)
            node.start()
        self.settle()

    def copy(self, node):
        """Make a node anew as a standby, from a base backup."""
        shutil.rmtree(node.data, ignore_errors=True)
        shutil.rmtree(node.wal, ignore_errors=True)
        if run("pg_basebackup", "-D", node.data, f"--waldir={node.wal}", "-c", "fast",
               "-d", self.primary.conninfo(dbname=None), log=node.log):
            raise RuntimeError("pg_basebackup: see " + node.log)
        self.make_standby(node)

    def make_standby(self, node):
        node.configure(self.primary)
        with open(node.data + "/standby.signal", "w", encoding="utf-8"):
            pass

    def settled(self):
        """Do both standbys stream?"""
        return self.primary.try_value("SELECT count(*) FROM pg_stat_replication WHERE "
                                      "state = 'streaming'") == 2

    def settle(self):
        """Wait for that; servers that aren't there are started."""
        for node in self.nodes:
            if node.postmaster() is None:
                node.start()
        until("both standbys to stream", self.settled)

    def fail_over(self, crash, cut=False):
        """Promote the furthest standby. The old primary, killed or shut down, becomes
        a standby by pg_rewind, the other follows the new one. cut: before it is
        killed it writes what no standby gets, so that there is something to rewind."""
        self.settle()
        old = self.primary
        if cut:
            for pid in old.find("walsender"):
                kill(pid, signal.SIGSTOP)
            time.sleep(0.5)
        if crash:
            old.kill(family=True)
        else:
            old.stop()
        # All that the old primary sent is received when nothing comes any more.
        for node in self.standbys():
            until(f"{node.name} to lose the primary", lambda n=node: n.try_value(
                "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == 0,
                pause=0.05)

        def position(node):
            return node.value("SELECT (greatest(pg_last_wal_receive_lsn(), "
                              "pg_last_wal_replay_lsn()) - '0/0')::bigint")
        new = max(self.standbys(), key=position)
        other = next(node for node in self.standbys() if node is not new)
        new.configure()
        # not waiting for it in a statement, whose snapshot may be in replay's way
        new.execute("SELECT pg_promote(false)")
        until(f"{new.name} to be promoted",
              lambda: new.try_value("SELECT pg_is_in_recovery()") is False)
        # If a crash comes before its new slot rests at an anchor it begins a new
        # incarnation, and all servers go by its.
        if time.monotonic() < self.slot_lost.get(new, 0) + 60:
            for node in self.nodes:
                self.may_reset(node, "lose-slot")
        self.primary = new
        self.reconfigure(other)
        new.execute("CHECKPOINT")  # pg_rewind reads the new timeline in the control file
        self.rewind(old)
        old.start()
        self.settle()

    def rewind(self, node):
        before = len(read(node.log))
        if run("pg_rewind", "-D", node.data, "--config-file", node.folder + "/postgresql.conf",
               "--source-server", self.primary.conninfo(), "-N", log=node.log):
            raise RuntimeError("pg_rewind: see " + node.log)
        self.make_standby(node)
        self.rewinds += "no rewind required" not in read(node.log)[before:]

    def switch_points(self):
        """{timeline: LSN where it was left} of the primary's history."""
        walfile = self.primary.value("SELECT pg_walfile_name(pg_current_wal_lsn())")
        if int(walfile[:8], 16) == 1:
            return {}
        text = self.primary.value("SELECT pg_read_file(%s)", (f"pg_wal/{walfile[:8]}.history",))
        ends = {}
        for line in text.splitlines():
            found = re.match(r"(\d+)\s+([0-9A-F]+)/([0-9A-F]+)", line)
            if found:
                ends[int(found[1])] = int(found[2], 16) << 32 | int(found[3], 16)
        return ends

    def end(self, keep):
        """Stop all, as well as may be. keep: the WAL, too, which may be in memory."""
        for node in self.nodes:
            for pid in node.processes():
                kill(pid, signal.SIGCONT)
            try:
                node.stop()
            except RuntimeError:
                node.kill(family=True)
            if keep and node.small_wal and os.path.islink(node.data + "/pg_wal"):
                os.unlink(node.data + "/pg_wal")
                shutil.copytree(node.wal, node.data + "/pg_wal")
