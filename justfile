# Recipes of the project; `just` alone lists them.

_default:
    @just --list --unsorted

# Format, lints, tests: the first part of what continuous integration (`.ci/run`) does.
check: format-check lint test

# Formatting, without changing anything.
format-check:
    cargo fmt --all --check

# Clippy on every target; a warning is an error.
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Unit, integration and documentation tests.
test:
    cargo test --locked

# The property tests on cases they have not seen, many more of them: `just explore 4711`.
explore seed:
    PROPTEST_RNG_SEED={{seed}} PROPTEST_CASES=2000 cargo test --locked -- random machine invariants

# The tests that need the reference data in ../shared as well.
test-shared:
    cargo test --locked -- --include-ignored

# Whether 95 % intervals hold the truth as often as they say: thousands of runs of a scenario.
coverage:
    cargo test --release --locked --test it -- --include-ignored intervals_of_a_scenario

# Benchmarks; narrow them with a name, as in `just bench placement`.
bench *filter:
    cargo bench --locked -- {{filter}}

# Validates every scenario of scenarios/, then runs each into outputs/.
scenarios:
    cargo build --release --locked
    target/release/ecsim validate scenarios/*.yaml scenarios/real/*.yaml
    for scenario in scenarios/*.yaml scenarios/real/*.yaml; do target/release/ecsim run --quiet "$scenario" || exit; done

# The image of scenarios/real/web-scale-out.yaml: one static binary.
burner-image:
    mkdir -p target/burner
    rustc --edition 2024 -O -C target-feature=+crt-static --out-dir target/burner examples/burner.rs
    tar -C target/burner -c burner | docker import - ecsim/burner:1
