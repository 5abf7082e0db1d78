# Thin on purpose: the work is in Scripts/, which runs without make too.
.PHONY: help demo demo-postgres demo-redis test test-tsan bench soak check format clean

help:
	@echo 'make demo       build and run the example service (PORT=8080)'
	@echo 'make demo-postgres, make demo-redis: the same on a private server, with two worker processes'
	@echo 'make test       build and run every test'
	@echo 'make test-tsan  the same under the thread sanitizer'
	@echo 'make bench      figures beside the limits of the engines, in release mode (ENGINE=sqlite, postgres or redis: that one)'
	@echo 'make soak       every attack for a long time (SOAK_SECONDS=600 each, SOAK_JOBS=10000000)'
	@echo 'make check      format, licence, source rules, links, documentation, coverage of the tests'
	@echo 'make format     rewrite the Swift files in the house format'
	@echo 'make clean      remove what the above made'

demo:
	@exec Scripts/demo.sh

demo-postgres:
	@exec Scripts/demo-servers.sh postgres

demo-redis:
	@exec Scripts/demo-servers.sh redis

test:
	@exec Scripts/test.sh

test-tsan:
	@exec Scripts/test-tsan.sh

bench:
	@exec Scripts/bench.sh $(if $(ENGINE),--engine $(ENGINE))

soak:
	@exec Scripts/soak.sh

check:
	@exec Scripts/check.sh

format:
	@exec Scripts/format.sh

clean:
	rm -rf .build .build-tsan Benchmarks/.build var
