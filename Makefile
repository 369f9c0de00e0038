# SPDX-License-Identifier: MIT
#
# The front door. Meson builds; this names what people do.

BUILD  ?= build
PREFIX ?= /usr/local
ARGS   ?=

MAKEFLAGS += --no-print-directory

.PHONY: all serve check bench bench-relay bench-tls fuzz install format lint ci deps clean help

# Builds the library and the command: build/naru.
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || \
		{ echo "naru: meson is missing; 'make deps' installs it"; exit 1; }
	@meson setup $(BUILD) --prefix=$(abspath $(PREFIX))
	@echo $(abspath $(PREFIX)) >$(BUILD)/.prefix

serve: # The main job: a server on tcp://localhost:1060, until Ctrl-C.
	@scripts/install-deps build
	@$(MAKE) all
	@exec $(BUILD)/naru serve $(ARGS)

check: # Everything that tests; ends with how many passed.
	@scripts/install-deps check
	@$(MAKE) all
	@exec scripts/run-tests $(BUILD) $(ARGS)

bench: # The benchmarks, some 20 minutes; results go to build/bench/results.
	@scripts/install-deps bench
	@$(MAKE) all
	@exec bench/run $(BUILD) $(ARGS)

bench-relay: # The relay beside others, some 10 minutes.
	@scripts/install-deps bench
	@$(MAKE) all
	@exec bench/relay $(BUILD) $(ARGS)

bench-tls: # TLS beside others, some 5 minutes.
	@scripts/install-deps bench
	@$(MAKE) all
	@exec bench/tls $(BUILD) $(ARGS)

fuzz: # Feeds the parsers what nobody would send; ARGS=SECONDS for each.
	@scripts/install-deps lint
	@exec scripts/fuzz $(ARGS)

install: all # Into PREFIX (/usr/local), below DESTDIR where that is given.
	@[ "$$(cat $(BUILD)/.prefix)" = $(abspath $(PREFIX)) ] || { \
		meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX)) && \
		echo $(abspath $(PREFIX)) >$(BUILD)/.prefix && \
		ninja -C $(BUILD); }
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

format: # Lays out every C file as the house does.
	@scripts/sources | xargs clang-format -i

lint: all # What reads the sources: format, tidy, cppcheck, house rules.
	@exec scripts/lint $(BUILD) $(ARGS)

ci: # All that a change must pass.
	@exec bash .ci/run

deps: # Installs what building and testing need.
	@scripts/install-deps check

clean: # Takes the build directory away.
	@rm -rf $(BUILD) build-asan build-tsan build-fuzz

help: # This list.
	@echo "make          builds into $(BUILD)/"
	@sed -n 's/^\([a-z-]*\):[^#]*# \(.*\)/\1 \2/p' Makefile | \
		while read -r name what; do \
		printf 'make %-12s %s\n' "$$name" "$$what"; done
	@echo "ARGS='...' is handed on: make serve ARGS='-v -m prefork'"
