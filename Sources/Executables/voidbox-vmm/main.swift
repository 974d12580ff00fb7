internal import VMM

Worker.run()
