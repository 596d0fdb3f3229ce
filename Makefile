# chatroom: build, install, test, demonstrate
#
#   make, make install, make installcheck    as of every PostgreSQL extension
#   make test [T='t/003_*.pl sql/watch.sql'] everything (or what T names), in
#                                            private clusters under build/;
#                                            PG=17, 18, 19: scripts/suite
#   make test-long [T=...]                   the same, with more rows, for
#                                            longer, and with a seed at random
#   make ha                                  fail over under load, with Patroni
#                                            and etcd, three servers
#   make soak [MINUTES=30] [SEED=s] [FAULTS='kill-tailer lose-slot']
#                                            clients on three servers, under
#                                            random faults: docs/soak.md
#   make test-asan [T=...]                   regress and isolation tests, or
#                                            what T names, with chatroom built
#                                            with AddressSanitizer and UBSan
#   make test-valgrind [T=...]               the same under valgrind
#   make test-assert, make test-discard      the same on a server that has
#                                            assertions; and that empties its
#                                            caches whenever it could
#   make test-delays [T=...]                 all tests, with workers and
#                                            backends that are late
#   make fuzz [SECONDS=60] [MERGE=1]         each fuzzer so long; MERGE=1 makes
#                                            test/fuzz/corpus anew
#   make demo [LOG=file.tsv.gz]              see it work
#   make bench [QUICK=1] [ONLY='insert sync'] [PUBLISH=1]
#                                            how fast is it, next to others?
#                                            PUBLISH=1: docs/benchmarks.md
#   make tree                                a private PostgreSQL with chatroom
#                                            in it: build/pg15/usr/...
#   make format, make format-check           lay the C code out; CLANG_FORMAT=program
#
# with_client=no leaves the terminal client out, which needs readline.
# PG=17 chooses Debian's PostgreSQL 17; PG_CONFIG=/path/pg_config any other.

EXTENSION = chatroom
MODULE_big = chatroom
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" chatroom.control)
PGFILEDESC = "chatroom - real-time chat back end and change feed"

SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
ALL_HEADERS := $(sort $(wildcard src/*.h src/*/*.h))
OBJS = $(SOURCES:.c=.o)

# The terminal client, see docs/client.md.
with_client ?= yes
CLIENT_SOURCES := $(sort $(wildcard client/*.c))
CLIENT_OBJS = $(CLIENT_SOURCES:.c=.o)
CLIENT = client/chatroom$(X)

# The install script is put together from its pieces in the order of their
# names.
SQL_PIECES := $(sort $(wildcard sql/install/*.sql))
INSTALL_SQL = chatroom--$(EXTVERSION).sql
DATA_built = $(INSTALL_SQL)
DATA = $(wildcard sql/chatroom--*--*.sql)

# make installcheck: against a running server that has chatroom installed.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.
ifeq ($(REGRESS),)
undefine REGRESS
endif
ifeq ($(ISOLATION),)
undefine ISOLATION
endif

# The -Wno are for what PostgreSQL's own headers and macros cause.
PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -MMD -MP
# utf8proc counts graphemes: see src/base/graphemes.c.
SHLIB_LINK = -lutf8proc $(filter -lm, $(LIBS))

EXTRA_CLEAN = $(OBJS:.o=.d) $(CLIENT) $(CLIENT_OBJS) $(CLIENT_OBJS:.o=.d) \
	results regression.diffs regression.out output_iso

# Bitcode for the JIT compiler would want the clang that the server was built
# with; chatroom has nothing to inline. make with_llvm=yes builds it.
override with_llvm := $(or $(with_llvm),no)

ifdef PG
PG_CONFIG = /usr/lib/postgresql/$(PG)/bin/pg_config
else
PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
HAVE_PGXS := $(wildcard $(PGXS))

ifneq ($(HAVE_PGXS),)
include $(PGXS)
else
all install installcheck uninstall clean tree:
	@echo "No server headers for $(PG_CONFIG): install postgresql-server-dev-NN," >&2
	@echo "or say PG=NN or PG_CONFIG=/path/to/pg_config." >&2
	@exit 1
endif

.DEFAULT_GOAL := all
.PHONY: setup test test-long test-asan test-valgrind test-assert test-discard \
	test-delays fuzz ha soak demo bench tree tree-env format format-check

# These work where PostgreSQL isn't yet, so they hand their variables on in the
# environment and start make again for themselves.
setup:
	@scripts/setup

test:
	@env -u MAKEFLAGS -u MAKELEVEL scripts/suite scripts/sandbox test/run

test-long:
	@env -u MAKEFLAGS -u MAKELEVEL CHATROOM_LONG=1 \
		scripts/suite scripts/sandbox test/run

ha:
	@scripts/setup --ha
	@env -u MAKEFLAGS -u MAKELEVEL scripts/sandbox test/ha/run

soak:
	@env -u MAKEFLAGS -u MAKELEVEL scripts/soak

test-asan test-valgrind test-assert test-discard test-delays: test-%:
	@env -u MAKEFLAGS -u MAKELEVEL scripts/checked $*

SECONDS = 60
fuzz:
	@scripts/setup
	@PG_CONFIG='$(PG_CONFIG)' MERGE='$(MERGE)' test/fuzz/run $(SECONDS)

demo:
	@env -u MAKEFLAGS -u MAKELEVEL scripts/sandbox test/demo/run

# git doesn't answer another user about this folder.
bench:
	@scripts/setup --bench
	@BENCH_COMMIT="$$(git describe --always --dirty 2> /dev/null)" \
		env -u MAKEFLAGS -u MAKELEVEL scripts/sandbox test/bench/run
ifdef PUBLISH
	@mkdir -p docs
	@rm -f docs/benchmarks-*.svg
	@cp $$(ls build/bench/benchmarks.md build/bench/benchmarks-*.svg 2> /dev/null) docs
endif

FORMATTED = $(SOURCES) $(ALL_HEADERS) $(wildcard client/*.c client/*.h) \
	$(wildcard test/*/*.c test/*/*.h)

format:
	scripts/format $(FORMATTED)

format-check:
	scripts/format --check $(FORMATTED)

ifneq ($(HAVE_PGXS),)

-include $(OBJS:.o=.d) $(CLIENT_OBJS:.o=.d)

# What was compiled for another server, or with other flags, is compiled anew.
BUILD_FOR := $(strip $(VERSION) $(CC) $(CFLAGS) $(CPPFLAGS))
ifneq ($(BUILD_FOR),$(strip $(file < build/flags)))
$(shell mkdir -p build)
$(file > build/flags,$(BUILD_FOR))
endif
$(OBJS) $(CLIENT_OBJS): build/flags
build/flags: ;

# The .o's dependencies are good for the .bc.
$(OBJS:.o=.bc): %.bc: %.o

# PGXS makes a library or a program, so the client has rules of its own. It is
# linked with the libpq of the server that it is built for.
ifeq ($(with_client),yes)
all: $(CLIENT)
install: install-client
endif

$(CLIENT_OBJS): client/%.o: client/%.c
	$(CC) $(CFLAGS) $(PTHREAD_CFLAGS) -I$(includedir) -D_GNU_SOURCE \
		-DCHATROOM_VERSION='"$(EXTVERSION)"' -c -o $@ $<
$(CLIENT_OBJS): chatroom.control

$(CLIENT): $(CLIENT_OBJS)
	$(CC) $(CFLAGS) $(PTHREAD_CFLAGS) -o $@ $(CLIENT_OBJS) -L$(libdir) \
		$(LDFLAGS) $(LDFLAGS_EX) -lpq -lreadline -lutf8proc $(PTHREAD_LIBS)

.PHONY: install-client uninstall-client
install-client: $(CLIENT)
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(CLIENT) '$(DESTDIR)$(bindir)/chatroom$(X)'

uninstall: uninstall-client
uninstall-client:
	rm -f '$(DESTDIR)$(bindir)/chatroom$(X)'

$(INSTALL_SQL): $(SQL_PIECES) $(wildcard sql/install) chatroom.control
	@rm -f $@
	printf '%s\n' '\echo Use "CREATE EXTENSION chatroom" to load this file. \quit' > $@
	cat /dev/null $(SQL_PIECES) >> $@

# A private copy of the server, for tests: PostgreSQL finds its files relative
# to its program's real path, so programs are copied, the rest are links.
TREE = build/pg$(MAJORVERSION)

tree: $(TREE)/tree
	@$(MAKE) --no-print-directory install DESTDIR='$(CURDIR)/$(TREE)' \
		> $(TREE)/install.log 2>&1 || { cat $(TREE)/install.log >&2; exit 1; }

$(TREE)/tree: $(bindir)/postgres $(pkglibdir) $(datadir)/extension
	rm -rf $(TREE)
	mkdir -p $(TREE)$(bindir) $(TREE)$(pkglibdir) $(TREE)$(datadir)
	cp -a $(bindir)/. $(TREE)$(bindir)
	cp -as $(pkglibdir)/. $(TREE)$(pkglibdir)
	cp -as $(datadir)/. $(TREE)$(datadir)
	rm -rf $(TREE)$(bindir)/chatroom $(TREE)$(pkglibdir)/chatroom* \
		$(TREE)$(datadir)/extension/chatroom*
	touch $@

# Where what is, for scripts/sandbox.
tree-env:
	@echo "tree=$(TREE)"
	@echo "bindir=$(bindir)"
	@echo "pg_config=$(PG_CONFIG)"
	@echo "libdir=$(libdir)"
	@echo "includedir=$(includedir)"
	@echo "pgxs_src=$(abspath $(dir $(PGXS))..)"

clean: clean-build
clean-build:
	rm -rf build
.PHONY: clean-build

endif
