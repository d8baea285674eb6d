# make demo    install into .venv and compare with usual models on two small tables
# make test    C++ tests and Python tests
# make lint    style, format and types
# make format  write Python and C++ in the project's format
# make docs    the site, into build/docs/index.html
# make bench   everything against its rivals, tables and plots into bench/results; BENCH="--quick" is shorter
# make asan    C++ tests, and Python tests of the core, under the address and undefined-behaviour sanitizers; Linux only
# make coverage  Python lines and branches, and C++ lines (gcov), that the tests reach
# make tsan    C++ tests under the thread sanitizer; needs Clang and its OpenMP runtime, libomp
# make wheel   the sdist, and from it a wheel for each interpreter of PYTHONS="python3.11 python3.12", into dist
# make clean
#
# Needed: Python 3.11 or newer, a C++ compiler, make. PYTHON=python3.13 names the interpreter, VENV=dir another
# place for the environment, CMAKE_ARGS="-DNAME=VALUE ..." options of the build, PYTEST="-k name" options of pytest.

PYTHON ?= python3
PYTHONS ?= $(PYTHON)
VENV ?= .venv
CMAKE_ARGS ?=
BENCH ?=
PYTEST ?=
# Worker processes share the processors: each has two threads where a test names no number, which is enough to
# share work, and BLAS one. More than eight gain nothing: the longest tests are what is waited for.
WORKERS = OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN)/python -m pytest \
	--numprocesses auto --maxprocesses 8 --dist worksteal
export CMAKE_ARGS
# Threads that wait must not spin where others want the processor.
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUN := $(abspath $(VENV))/bin
# CMake, Ninja and Eigen are those of the environment.
USE_VENV = export PATH="$(RUN):$$PATH" \
	CMAKE_PREFIX_PATH="$$($(RUN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')";
# Of all that is compiled for one interpreter: the extension module and, once they are asked for, the C++ tests.
TREE = build/$$($(RUN)/python -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
SOURCES := pyproject.toml CMakeLists.txt README.md LICENSE cpp/CMakeLists.txt \
	$(shell find cpp/include cpp/src cpp/bindings python -not -name '*.so' -not -path '*__pycache__*')

.PHONY: demo test lint format docs bench wheel asan tsan coverage coverage-of-all clean built-asan built-tsan \
	asan-tools tsan-tools
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@$(RUN)/pathrelu demo

test: $(VENV)/.test
	@echo "building the C++ tests"
	@$(USE_VENV) { cmake -DPATHRELU_TESTS=ON $(CMAKE_ARGS) $(TREE) && cmake --build $(TREE); } > build/tests.log 2>&1 || \
		{ cat build/tests.log; exit 1; }
	@$(USE_VENV) ctest --test-dir $(TREE) --output-on-failure
	@$(WORKERS) $(PYTEST)

docs: $(VENV)/.docs
	@$(RUN)/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going docs build/docs
	@echo "built build/docs/index.html"

bench: $(VENV)/.bench
	@$(RUN)/python bench/run.py $(BENCH)

wheel:
	@.ci/wheels $(PYTHONS)

# What ends in the core, and work shared by threads. Left out are the tests of minutes, for sanitized code is several
# times slower: of many fits, whose code the others run.
ASAN_TESTS = $(addprefix tests/test_,$(addsuffix .py,arrangements cones enumeration losses network operators portable \
	threads)) --deselect tests/test_losses.py::test_estimators_predict_about_as_boosting_does \
	--deselect "tests/test_threads.py::test_bits_do_not_depend_on_the_number_of_threads[PathReLUClassifierCV]" \
	--deselect "tests/test_threads.py::test_bits_do_not_depend_on_the_number_of_threads[certify: semidefinite]" \
	--deselect "tests/test_threads.py::test_bits_do_not_depend_on_the_number_of_threads[PathReLUClassifier: many rows]"
ASAN_PYTHON := $(abspath build/asan/python)
asan: asan-tools $(VENV)/.test built-asan
	@$(USE_VENV) ctest --preset asan
	@rm -rf $(ASAN_PYTHON) && mkdir -p $(ASAN_PYTHON) && cp -R python/pathrelu $(ASAN_PYTHON)
	@rm -f $(ASAN_PYTHON)/pathrelu/_core*.so
	@$(USE_VENV) cmake --install build/asan --prefix $(ASAN_PYTHON) --component python > build/asan-install.log
	@$(SANITIZED) $(WORKERS) -p no:faulthandler -p no:cacheprovider --capture=sys $(ASAN_TESTS) $(PYTEST)
# Python is not sanitized: the runtimes that the module names are loaded before it, and that of C++, in which an error is
# thrown. Only what Python itself prints is captured, or reports would be lost with the process that ends. Leaks are
# not looked for: Python and its packages keep to the end what they have.
SANITIZED = env PYTHONPATH=$(ASAN_PYTHON) ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	LD_PRELOAD="$$(ldd $(ASAN_PYTHON)/pathrelu/_core*.so | awk '/libasan|libubsan|libstdc/ { print $$3 }' | tr '\n' ' ')"
built-asan: PRESET_ARGS = -DPython_EXECUTABLE=$(RUN)/python
built-asan: asan-tools
asan-tools:
	@test "$$(uname -s)" = Linux || { echo "make asan needs Linux, whose loader takes the sanitizers into a Python without \
	them; this is $$(uname -s)"; exit 1; }
	@mkdir -p build && echo 'int main() {}' | $${CXX:-c++} -fsanitize=address,undefined -x c++ - -o build/asan-tools && \
		ldd build/asan-tools | grep -q libasan || { echo "make asan needs a compiler with the sanitizers as shared \
	libraries, such as GCC with libasan and libubsan; this one is $${CXX:-c++}"; exit 1; }

# In an environment of its own, with everything compiled to count its lines: those of templates once, not for each
# type that they are compiled for.
coverage:
	@$(MAKE) --no-print-directory VENV=.venv-coverage coverage-of-all

coverage-of-all: $(VENV)/.tools
	@echo "building with counters into $(VENV)"
	@rm -rf build/coverage
	@$(RUN)/python -m pip install --quiet "gcovr>=8.8"
	@$(USE_VENV) python -m pip install --quiet --no-build-isolation -Cbuild-dir=build/coverage \
		-Ccmake.define.PATHRELU_TESTS=ON -Ccmake.define.PATHRELU_DISPATCH=OFF \
		-Ccmake.define.CMAKE_CXX_FLAGS="--coverage -fprofile-update=atomic" '.[test]'
	@$(USE_VENV) ctest --test-dir build/coverage --output-on-failure --exclude-regex install
	@$(WORKERS) --cov --cov-report=term-missing:skip-covered $(PYTEST)
	@$(RUN)/gcovr --root . --filter cpp/src --filter cpp/include --gcov-ignore-errors=no_working_dir_found \
		--gcov-ignore-parse-errors=suspicious_hits.warn \
		--merge-lines build/coverage

# GCC's OpenMP runtime does not tell the sanitizer what synchronises; Clang's does, through Archer.
CLANG ?= $(lastword $(sort $(wildcard /usr/bin/clang++ /usr/bin/clang++-[1-9]*)))
tsan: built-tsan
	@$(USE_VENV) ctest --preset tsan
built-tsan: PRESET_ARGS = -DCMAKE_CXX_COMPILER=$(CLANG)
built-tsan: tsan-tools
tsan-tools:
	@test -n "$(CLANG)" || { echo "make tsan needs Clang: no clang++ in /usr/bin (Debian: apt-get install clang libomp-dev; or CLANG=path)"; exit 1; }
	@echo '#include <omp.h>' | $(CLANG) -x c++ -fopenmp -fsyntax-only - || { \
		echo "make tsan needs the OpenMP runtime of $(CLANG) (Debian: apt-get install libomp-dev)"; exit 1; }
	@find "$$($(CLANG) -print-resource-dir)/../../.." /usr/lib/llvm* -name 'libarcher.so' 2>/dev/null | grep -q . || { \
		echo "make tsan needs libarcher.so, which comes with the OpenMP runtime of Clang"; exit 1; }

lint: $(VENV)/.dev
	@$(RUN)/ruff check --quiet
	@$(RUN)/ruff format --check --quiet
	@$(RUN)/mypy
	@find cpp -name '*.[ch]pp' -exec $(RUN)/clang-format --dry-run -Werror {} +

format: $(VENV)/.dev
	@$(RUN)/ruff check --quiet --fix
	@$(RUN)/ruff format --quiet
	@find cpp -name '*.[ch]pp' -exec $(RUN)/clang-format -i {} +

clean:
	rm -rf build dist docs/gallery docs/reference .venv .venv-coverage .venv-oldest .venv-rivals-* .benchmarks .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bench cpp examples python tests -name __pycache__ -prune -exec rm -rf {} +

# The environment with what the build needs, so that an install without isolation reuses the last one's objects.
$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("pathrelu needs Python 3.11 or newer; \
	$(PYTHON) is %d.%d. Name another with: make PYTHON=python3.x" % v[:2])'
	@echo "preparing $(VENV)"
	@test -x $(RUN)/pip || $(PYTHON) -m venv $(VENV)
	@$(RUN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], \
		"cmake>=3.21", "ninja>=1.5", sep="\n")' > $(VENV)/build-requires.txt
	@$(RUN)/python -m pip install --quiet -r $(VENV)/build-requires.txt
	@touch $@

# The package with one set of extras, and the sets that are in it.
HAS_test = demo
HAS_dev = test demo
HAS_bench = test demo
$(VENV)/.demo $(VENV)/.test $(VENV)/.docs $(VENV)/.bench $(VENV)/.dev: $(VENV)/.%: $(VENV)/.tools $(SOURCES)
	@echo "installing pathrelu[$*] into $(VENV)"
	@$(USE_VENV) python -m pip install --quiet --no-build-isolation -Cbuild-dir="$(TREE)" '.[$*]'
	@touch $@ $(patsubst %,$(VENV)/.%,$(HAS_$*))

# The C++ tests of one preset; Ninja knows what is out of date.
built-asan built-tsan: built-%: $(VENV)/.tools
	@echo "building the C++ tests ($*)"
	@mkdir -p build
	@$(USE_VENV) { cmake --preset $* $(CMAKE_ARGS) $(PRESET_ARGS) && cmake --build --preset $*; } > build/$*.log 2>&1 || \
		{ cat build/$*.log; exit 1; }
