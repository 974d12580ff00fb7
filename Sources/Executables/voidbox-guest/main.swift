internal import CEarlyInit
internal import GuestAgentCore

cearlyinit_link()
FirstProcess.run()
