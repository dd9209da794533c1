# Two shorthands for the commands of the README.
.PHONY: run test

run:
	python3 -m venv --without-pip .venv && pip --python .venv install . && .venv/bin/ccstore run

test:
	python3 -m tests
