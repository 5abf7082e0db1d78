# Thin on purpose: the work is in Scripts/, which runs without make too.
.PHONY: help demo test test-tsan check format clean

help:
	@echo 'make demo       build and run the example service (PORT=8080)'
	@echo 'make test       build and run every test'
	@echo 'make test-tsan  the same under the thread sanitizer'
	@echo 'make check      format, licence, source rules, links, documentation, coverage of the tests'
	@echo 'make format     rewrite the Swift files in the house format'
	@echo 'make clean      remove what the above made'

demo:
	@exec Scripts/demo.sh

test:
	@exec Scripts/test.sh

test-tsan:
	@exec Scripts/test-tsan.sh

check:
	@exec Scripts/check.sh

format:
	@exec Scripts/format.sh

clean:
	rm -rf .build .build-tsan var
