internal import CommandLineTool

await VoidBoxCommand.main()
