extension ReportPage {
    /// Light and dark, wide and narrow: below 640 pixels a stage's bar goes under its name.
    static let style = """
        :root { color-scheme: light dark; --text: #1c1f26; --soft: #666d7a; --line: #dfe2e8; --back: #fff; --card: #f6f7f9;
          --good: #1a7f4b; --bad: #c0392b; --odd: #a86500; --boot: #9aa7bd; --bar: #3b6fd4; --tool: #7a53c4; }
        @media (prefers-color-scheme: dark) { :root { --text: #e4e7ec; --soft: #98a1b0; --line: #313742; --back: #14171c;
          --card: #1c2027; --good: #4cc38a; --bad: #f0796c; --odd: #e0a030; --boot: #5d6b82; --bar: #5b8def; --tool: #a07fe0; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
        main { max-width: 1200px; margin: 0 auto; padding: 24px 20px 60px; }
        h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; overflow-wrap: anywhere; }
        h2 { font-size: 17px; margin: 32px 0 10px; }
        .facts { margin: 0; color: var(--soft); display: flex; flex-wrap: wrap; gap: 2px 18px; overflow-wrap: anywhere; }
        .id, pre, .log { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
        .state { display: inline-block; font-size: 13px; font-weight: 600; line-height: 1.5; padding: 0 9px; border-radius: 10px;
          vertical-align: middle; color: var(--back); background: var(--soft); }
        .state.succeeded { background: var(--good); } .state.failed, .state.killed { background: var(--bad); }
        .state.cancelled { background: var(--odd); } .state.running { background: var(--bar); }
        .alert { border-left: 4px solid var(--bad); background: var(--card); padding: 10px 14px; margin: 16px 0 0;
          overflow-wrap: anywhere; white-space: pre-line; }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(125px, 1fr)); gap: 10px; margin: 20px 0 0; }
        .figures div { background: var(--card); border-radius: 8px; padding: 10px 14px; }
        dt { color: var(--soft); font-size: 13px; } dd { margin: 0; font-size: 19px; font-weight: 600; }
        .row, .scale { display: grid; grid-template-columns: minmax(120px, 22%) 1fr 170px; gap: 12px; align-items: center; }
        .scale div { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; }
        .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
        .call .name { font-weight: 400; font-size: 13px; color: var(--soft); padding-left: 14px; }
        .note { color: var(--soft); font-size: 13px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
        .track { position: relative; height: 18px; background: var(--card); border-radius: 4px; }
        .call .track { height: 10px; }
        .row { padding: 3px 0; }
        .track i { position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: 3px; background: var(--bar); }
        i.boot { background: var(--boot) !important; z-index: 1; } i.tool { background: var(--tool) !important; }
        i.failed { background: var(--bad) !important; } i.cancelled { background: var(--odd) !important; }
        i.open { opacity: .55; }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 16px; color: var(--soft); font-size: 13px; margin: 10px 0 0; }
        .legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; background: var(--bar); margin-right: 6px;
          vertical-align: -1px; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; }
        th { text-align: left; color: var(--soft); font-weight: 500; font-size: 13px; }
        th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
        td:last-child { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 180px; width: 99%; }
        .log { max-height: 640px; overflow-y: auto; border: 1px solid var(--line); border-radius: 8px; padding: 4px 10px; }
        .log td { border: 0; padding: 1px 12px 1px 0; color: var(--soft); } .log td:last-child { color: var(--text); }
        .log .error td:last-child { color: var(--bad); } .log .warn td:last-child { color: var(--odd); }
        pre { background: var(--card); border-radius: 8px; padding: 12px 14px; margin: 0; overflow: auto; max-height: 500px;
          white-space: pre-wrap; overflow-wrap: anywhere; }
        summary { cursor: pointer; padding: 4px 0; }
        small { color: var(--soft); }
        @media (max-width: 640px) {
          main { padding: 16px 12px 40px; } h1 { font-size: 21px; }
          .figures { grid-template-columns: repeat(2, 1fr); } dd { font-size: 17px; }
          .row { grid-template-columns: 1fr auto; gap: 2px 8px; padding: 6px 0; }
          .row .track { grid-row: 2; grid-column: 1 / 3; } .note { text-align: right; }
          .scale { grid-template-columns: 1fr; } .scale > span { display: none; }
          .log td:nth-child(2), .log td:nth-child(3) { display: none; }
        }
        """
}
