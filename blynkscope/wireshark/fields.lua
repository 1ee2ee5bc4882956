-- The fields of the protocol, its expert infos and its preferences.

local blynk_tls = Proto("blynk_tls", "Blynk inside TLS")

local f = {
    cmd = ProtoField.uint8("blynk.cmd", "Command", base.DEC),
    cmd_name = ProtoField.string("blynk.cmd_name", "Command name"),
    aliases = ProtoField.string("blynk.aliases", "Also known as"),
    id = ProtoField.uint16("blynk.id", "Message id", base.DEC),
    length = ProtoField.uint32("blynk.length", "Length of the body", base.DEC),
    status = ProtoField.uint32("blynk.status", "Status", base.DEC),
    status_name = ProtoField.string("blynk.status_name", "Status name"),
    status_meaning = ProtoField.string("blynk.status_meaning", "Meaning"),
    status_fix = ProtoField.string("blynk.status_fix", "What to do"),
    body = ProtoField.bytes("blynk.body", "Body"),
    dialect = ProtoField.string("blynk.dialect", "Dialect"),
    ack = ProtoField.string("blynk.ack", "Answered by"),
    op = ProtoField.string("blynk.op", "Operation"),
    pin = ProtoField.string("blynk.pin", "Pin"),
    key = ProtoField.string("blynk.key", "Key"),
    key_value = ProtoField.string("blynk.key_value", "Value of the key"),
    problem = ProtoField.string("blynk.problem", "Problem"),
    skipped = ProtoField.bytes("blynk.skipped", "Bytes that belong to no frame"),
    response_to = ProtoField.framenum("blynk.response_to", "Response to", base.NONE, frametype.REQUEST),
    response_in = ProtoField.framenum("blynk.response_in", "Response in", base.NONE, frametype.RESPONSE),
    response_time = ProtoField.relative_time("blynk.response_time", "Response time"),
    -- names of parts come from the schema of the bodies
}
for name, label in pairs(PART_NAMES) do
    if not f[name] then f[name] = ProtoField.string("blynk." .. name, label) end
end

local all_fields = {}
for _, field in pairs(f) do all_fields[#all_fields + 1] = field end
blynk.fields = all_fields

local e = {
    refused = ProtoExpert.new("blynk.expert.refused", "An error status", expert.group.RESPONSE_CODE, expert.severity.ERROR),
    hindered = ProtoExpert.new(
        "blynk.expert.hindered", "A status that is no success", expert.group.RESPONSE_CODE, expert.severity.WARN),
    noted = ProtoExpert.new("blynk.expert.noted", "A status to note", expert.group.RESPONSE_CODE, expert.severity.NOTE),
    login = ProtoExpert.new("blynk.expert.login_refused", "The login was refused", expert.group.SECURITY, expert.severity.ERROR),
    status = ProtoExpert.new("blynk.expert.unknown_status", "Unknown status", expert.group.UNDECODED, expert.severity.WARN),
    command = ProtoExpert.new("blynk.expert.unknown_command", "Unknown command", expert.group.UNDECODED, expert.severity.WARN),
    body = ProtoExpert.new("blynk.expert.body", "The body does not parse for its command", expert.group.MALFORMED, expert.severity.WARN),
    id = ProtoExpert.new("blynk.expert.id_zero", "Message id 0: client libraries disconnect on it", expert.group.PROTOCOL, expert.severity.NOTE),
    oversized = ProtoExpert.new(
        "blynk.expert.oversized", "Larger than the buffer that the receiver announced", expert.group.PROTOCOL, expert.severity.WARN),
    skipped = ProtoExpert.new("blynk.expert.skipped", "Bytes that belong to no frame", expert.group.MALFORMED, expert.severity.WARN),
    cut = ProtoExpert.new("blynk.expert.cut", "The rest of the frame is missing", expert.group.MALFORMED, expert.severity.WARN),
    parts = ProtoExpert.new(
        "blynk.expert.parts", "A WebSocket message of several frames that Wireshark does not put together",
        expert.group.REASSEMBLE, expert.severity.WARN),
    web = ProtoExpert.new(
        "blynk.expert.web_response", "A RESPONSE of the web dialect has 7 bytes", expert.group.MALFORMED, expert.severity.WARN),
}
local all_experts = {}
for _, one in pairs(e) do all_experts[#all_experts + 1] = one end
blynk.experts = all_experts

blynk.prefs.show_secrets = Pref.bool(
    "Show tokens in the tree", false,
    "Tokens, mail addresses and passwords are masked in the Info column and in items unless this is set."
        .. " The bytes of the packet show them in any case.")
blynk.prefs.era = Pref.enum(
    "Meaning of codes that changed", 1, "Some command codes mean different things on the legacy server and on Blynk IoT.",
    { { 1, "Blynk IoT first", 1 }, { 2, "Blynk IoT", 2 }, { 3, "legacy", 3 } }, false)

-- The row of the command table that explains a code; nil for an unknown one.
local function row_of(dialect, cmd)
    local entry = MEANINGS[dialect][cmd]
    if type(entry) == "table" then entry = entry[blynk.prefs.era] or entry[1] end
    return entry and ROWS[entry]
end

-- The row that holds in exactly this dialect, the era unknown: what the framing goes by.
local function exact_row(dialect, cmd)
    local entry = EXACT[dialect][cmd]
    return entry and ROWS[entry]
end
