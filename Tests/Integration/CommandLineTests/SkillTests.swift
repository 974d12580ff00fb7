import Foundation
import TestSupport
import Testing

/// Real Claude Code in a real box, with skills and with servers of the official MCP SDK.
@Suite("Skills and MCP servers", .needsBox, .takesBoxSlot, .timeLimit(.minutes(20))) struct SkillTests {
    private static let server = """
        import os
        from mcp.server import MCPServer
        server = MCPServer("calculator")

        @server.tool()
        def add(a: int, b: int) -> str:
            '''Adds two numbers.'''
            return f"the sum is {a + b}, by {os.environ.get('WHERE')} with {os.environ.get('SECRET')}"

        server.run("stdio")
        """

    @Test(.needsPython("mcp"))
    func `Claude Code finds its skill and calls a server in the guest and one on the host`() async throws {
        let packages = try await PythonPackages.directory("mcp")
        let directory = try SpecDirectory()
        for place in ["skills/arithmetic/scripts", "servers"] {
            let url = directory.url.appending(path: place)
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        }
        _ = try directory.write(
            "skills/arithmetic/SKILL.md",
            "---\nname: arithmetic\ndescription: How to add numbers. Use when numbers are to be added.\n---\n"
                + "Use the calculator, never your head. Sentinel-7421.\n",
        )
        _ = try directory.write("skills/arithmetic/scripts/check.sh", "#!/bin/sh\necho checked\n")
        let script = directory.url.appending(path: "skills/arithmetic/scripts/check.sh").path
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        _ = try directory.write("servers/server.py", Self.server)
        _ = try directory.write(
            "turns.yaml",
            """
            turns:
              - {tool_use: {name: Skill, input: {skill: arithmetic}}, delay_ms: 2000}
              - expect: {request_contains: Sentinel-7421}
                tool_use: {name: Bash, input: {command: "$CLAUDE_CONFIG_DIR/skills/arithmetic/scripts/check.sh"}}
              - expect: {last_tool_result_contains: checked}
                tool_use: {name: mcp__guest-calc__add, input: {a: 20, b: 22}}
              - expect: {last_tool_result_contains: "the sum is 42, by the guest with None"}
                tool_use: {name: mcp__host-calc__add, input: {a: 1, b: 2}}
              - expect: {last_tool_result_contains: "the sum is 3, by the host with None"}
                text: both have answered
            """,
        )
        let spec = try directory.write(
            "agent.yaml",
            """
            kind: agent
            name: tools
            sandbox:
              memory_mb: 3072
              vcpus: 2
              env: {MCP_TIMEOUT: "600000"}
              mounts: [{host: "\(packages)", guest: /srv/python}, {host: servers, guest: /srv/servers}]
            llm: {provider: scripted, script: turns.yaml}
            agent:
              prompt: Add the numbers.
              skills:
                - agent:claude-code
                - file:skills/arithmetic
                - name: guest-calc
                  command: python3
                  args: [/srv/servers/server.py]
                  env: {PYTHONPATH: /srv/python, WHERE: the guest}
                - name: host-calc
                  command: python3
                  args: ["\(directory.url.path)/servers/server.py"]
                  env: {PYTHONPATH: "\(packages)", WHERE: the host}
                  runs_on: host
            """,
        )
        let state = directory.url.appending(path: "state").path
        let command = try await VoidBoxProcess.start(
            ["run", "--file", spec, "--output", "json"],
            environment: ["SECRET": "of the host", "VOIDBOX_STATE_DIR": state]
        )
        let result = try await command.end()
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect((report["output"] as? String)?.contains("both have answered") == true)
        #expect(result.errors.contains("tool: mcp__guest-calc__add"))
        #expect(result.errors.contains("tool: mcp__host-calc__add"))
        #expect(!result.errors.contains("tool failed"), "\(result.errors)")
        let run = try #require(report["run_id"] as? String)
        let events = try String(contentsOfFile: "\(state)/runs/\(run)/events.jsonl", encoding: .utf8)
        for answer in ["the sum is 42, by the guest with None", "the sum is 3, by the host with None"] {
            #expect(events.contains(answer), "the record has what the tools answered")
        }
    }

    @Test func `a Codex of the user's speaks to the model by way of the broker`() async throws {
        let directory = try SpecDirectory()
        let bin = directory.url.appending(path: "codex/bin")
        try FileManager.default.createDirectory(at: bin, withIntermediateDirectories: true)
        // A stand-in that asks the model as its configuration says, and writes events as Codex does.
        _ = try directory.write(
            "codex/bin/codex",
            """
            #!/usr/bin/python3
            import json, os, sys, tomllib, urllib.request
            prompt = sys.stdin.read()
            config = tomllib.load(open(os.environ["CODEX_HOME"] + "/config.toml", "rb"))
            provider = config["model_providers"][config["model_provider"]]
            assert provider["wire_api"] == "responses" and config["mcp_servers"]["notes"]["command"] == "notes"
            skill = open(os.environ["CODEX_HOME"] + "/skills/tidy/SKILL.md").read()
            assert "Tidy up." in skill and sys.argv[1:3] == ["exec", "--json"] and sys.argv[-1] == "-"
            def out(**event): print(json.dumps(event), flush=True)
            out(type="thread.started", thread_id="t-1")
            body = json.dumps({"model": "gpt-x", "stream": True, "tools": [{"type": "function", "name": "shell"}],
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}]})
            request = urllib.request.Request(provider["base_url"] + "/responses", body.encode(),
                {"Authorization": "Bearer " + os.environ[provider["env_key"]], "Content-Type": "application/json"})
            text = None
            for line in urllib.request.urlopen(request):
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["type"] == "response.output_item.done": text = event["item"]["content"][0]["text"]
                    if event["type"] == "response.completed": usage = event["response"]["usage"]
            out(type="item.completed", item={"id": "item_0", "type": "agent_message", "text": text})
            out(type="turn.completed", usage={"input_tokens": usage["input_tokens"], "cached_input_tokens": 0,
                "output_tokens": usage["output_tokens"]})
            """,
        )
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755],
            ofItemAtPath: bin.appending(path: "codex").path
        )
        _ = try directory.write(
            "turns.yaml",
            "turns: [{expect: {last_user_text_contains: Say hello.}, text: hello from the script, "
                + "usage: {input_tokens: 70, output_tokens: 7}}]",
        )
        let spec = try directory.write(
            "agent.yaml",
            """
            kind: agent
            name: codex
            sandbox: {memory_mb: 512, mounts: [{host: codex, guest: /opt/codex}]}
            llm: {provider: scripted, script: turns.yaml}
            agent:
              prompt: Say hello.
              skills: ["agent:codex", {name: tidy, content: Tidy up.}, {name: notes, command: notes}]
            """,
        )
        let result = try await VoidBoxProcess.run("run", "--file", spec, "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        let report = try result.json
        #expect(report["output"] as? String == "hello from the script")
        #expect(report["input_tokens"] as? Int == 70)
        #expect(report["output_tokens"] as? Int == 7)
    }
}
