# The front door of the build. The two that matter: `make demo` and `make test`.
# Both install the Debian packages that are missing (listed in debian-packages), as root or with sudo.

BRAID := build/release/braid

.PHONY: help demo build test cross bench soak fuzz lint format install clean setup

help:
	@echo "make demo     build, search for a merge of two small models, export the best one"
	@echo "make test     every test, also under the address and undefined-behaviour sanitizers"
	@echo "make cross    the tests with clang, and for 64-bit ARM under qemu"
	@echo "make build    the program: $(BRAID)"
	@echo "make bench    the benchmarks, as CSV lines"
	@echo "make soak     long sweeps: simulator seeds, kill and resume"
	@echo "make fuzz     ten minutes a fuzz target, with clang"
	@echo "make lint     clang-format and clang-tidy"
	@echo "make install  $(BRAID) to \$$PREFIX/bin (default /usr/local)"

setup:
	@tools/setup build

build: setup
	@cmake --preset release
	@cmake --build --preset release --target braid

demo: build
	@mkdir -p demo
	$(BRAID) search study/examples/demo.yaml --db demo/demo.db
	@if [ -d demo/best ]; then echo "demo/best is there already"; else $(BRAID) export demo/demo.db demo/best; fi

test:
	@tools/setup build test
	cmake --workflow --preset dev
	cmake --workflow --preset asan

cross:
	@tools/setup build dev cross
	cmake --workflow --preset clang
	@tools/sysroot arm64 build/aarch64-root
	cmake --workflow --preset aarch64

bench: build
	@tools/setup build test
	@cmake --build --preset release
	@tools/bench build/release

soak: build
	@tools/setup build test
	@cmake --build --preset release
	@tools/soak build/release

fuzz:
	@tools/setup build test dev
	cmake --preset fuzz && cmake --build --preset fuzz
	@tools/fuzz build/fuzz

lint:
	@tools/setup build test dev
	@tools/lint

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build
	install -D -m 755 $(BRAID) $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/braid

clean:
	rm -rf build
