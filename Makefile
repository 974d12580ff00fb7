# Every target is one script, which also runs without make and answers --help.
.PHONY: all help setup kernel guest demo test test-kvm stress-kvm check bench bench-lab fuzz docs generate clean

all:      ## Debug build
	swift build
help:     ## This list
	@sed -n 's/^\([a-z-]*\): *## /\1\t/p' Makefile
setup:    ## Install the Debian packages that are needed
	scripts/setup
kernel:   ## Build the guest kernel
	Guest/kernel/build.sh
guest:    ## Build everything a box starts from
	scripts/guest
demo:     ## From a fresh machine to an agent in a virtual machine
	scripts/demo
test:     ## All tests
	scripts/test
test-kvm: ## The tests that need a complete /dev/kvm, in an emulated machine if need be
	scripts/test-kvm
stress-kvm: ## Hundreds of boots, many machines at once, killed workers, races for the outside of a share
	scripts/stress-kvm
check:    ## Format, shell scripts, unsafe budget, generated code
	scripts/check
bench:    ## Measure against peers, into .build/bench.json
	scripts/bench
bench-lab: ## Measure our own machine monitor against QEMU's with KVM, into .build/bench-lab.json
	scripts/bench-lab
fuzz:     ## A minute of fuzzing for each target
	scripts/fuzz
docs:     ## Documentation of the Swift library, into .build/docs
	scripts/docs
generate: ## Regenerate code from Protos/
	scripts/generate
clean:    ## Remove build products
	scripts/clean
