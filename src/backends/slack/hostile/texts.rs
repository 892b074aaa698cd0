//! The hostile texts.

/// D1, D2: nothing here may notify, link or change its looks.
#[rustfmt::skip] // One line each, this table would be half of the file.
pub(super) const HOSTILE: &[&str] = &[
    // Every live token, plain and labelled.
    "<!here>", "<!channel>", "<!everyone>", "<!group>", "<!here|here>", "<!channel|@channel>", "<!everyone|all>",
    "<!subteam^S0GROUP01>", "<!subteam^S0GROUP01|@team>", "<!subteam^S0GROUP01|>", "<@U0ALICE01>", "<@W0ALICE01>",
    "<@U0ALICE01|alice>", "<@USLACKBOT>", "<#C0OPS00001>", "<#C0OPS00001|ops>", "<#C0OPS00001|>", "<@S0GROUP01>",
    "<!date^1766000000^{date} {time}|x>", "<!date^1766000000^{date}^https://evil.test|today>",
    "<https://evil.test|https://good.test>", "<http://evil.test>", "<mailto:a@b.test|write us>", "<tel:1|call>",
    "<slack://open|x>", "<javascript:alert(1)|x>", "<//evil.test|x>", "<evil.test|x>", "<unknown>", "<!unknown>",
    "<!>", "<@>", "<#>", "<|>", "<>",
    // Bare names.
    "@here", "@channel", "@everyone", "@group", "@HERE", "@Channel", "@eVeRyOnE", "@alice", "@alice.b", "@team-x",
    "#general", "#ops-1", "#42", "#_x", "@группа", "#канал", "@équipe", "@チーム", "#通知", "@1", "@_x",
    // At the start, at the end, doubled, next to letters of other scripts and to marks.
    "x @here", "@here x", "@here@here", "@@here", "@@@channel", "@here@channel@everyone", "a@here", "é@here",
    "я@channel", "日本@everyone", "@here日本", "@channelя", "@hereé", "(@here)", "[@channel]", "{@everyone}", "\"@here\"",
    "'@here'", "*@here*", "_@channel_", "~@everyone~", "`@here`", "```@channel```", "*<!here>*", "`<!channel>`",
    "```\n<!everyone>\n```", "_@alice_", "*#ops*", "-@here", "/@here", "https://x.test/@here", "https://x.test/#ops",
    "x=@channel", "@here:", "@here,", "@here.", ":@here:",
    // Line starts and quotes.
    "> quote", ">>> all", "&gt; quote", "\n> quote", "\n@here", "@here\n@channel", "a\n#ops", "\t@here", " @here",
    // Encoded, once and twice.
    "&lt;!here&gt;", "&amp;lt;!here&amp;gt;", "&#60;!here&#62;", "&#x3c;!channel&#x3e;", "&LT;!here&GT;",
    "&lt!here&gt", "&#64;here", "&commat;here", "%3C!here%3E", "\\u003c!here\\u003e", "\\<!here\\>", "&", "&&", "&;",
    "&amp;", "&amp;amp;", "&lt", "&l<t;",
    // Nested and split.
    "<<!here>>", "<!<!here>here>", "<!he<!here>re>", "<@<@U0ALICE01>>", "<!here", "!here>", "<!here|<!channel>>",
    "<https://a|<!here>>", "<\n!here>", "<!here\n>", "<! here>", "< !here>", "<!here >", "@ here", "@\nhere",
    "<!subteam^>", "<!subteam^S0GROUP01", "<@U0ALICE01 >", "<<<<<<<<!here>>>>>>>>", "<!here><!here>",
    "<!here><@U0ALICE01><!channel>", "x<!here>y", "é<!here>é", "日<!channel>本",
    // Look-alikes, invisible characters and joiners.
    "＠here", "@ｈｅｒｅ", "﹫channel", "＜!here＞", "‹!here›", "@\u{200B}here", "@\u{200D}here", "@\u{200C}channel",
    "@\u{2060}everyone", "@\u{FE0F}here", "@\u{00AD}here", "h\u{200B}ere@here", "\u{200B}@here", "@he\u{200B}re",
    "<\u{200B}!here>", "<!\u{200D}here>", "@h\u{0435}re", "@here\u{0301}", "@\u{0301}here", "@\u{200B}\u{200B}here",
    "#\u{200B}ops", "\u{200E}@here", "@\u{200E}here",
    // Emoji codes and things that resemble JSON.
    ":tada:", "a:+1:b", ":skin-tone-2:", "12:30:45", "\"}],\"link_names\":true,\"text\":\"<!here>", "\\", "\\\"",
    "{\"text\":\"<!channel>\"}", "parse=full @here", "link_names @everyone", "👩‍👩‍👧‍👦@here", "🏳️‍🌈<!here>",
];
