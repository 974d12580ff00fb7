internal import CommandLineTool

await VoidBoxCommand.runToExit()
