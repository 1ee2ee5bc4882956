-- What a direction speaks, and how its bytes come here: TCP, TLS, WebSocket.

local LOOKED_AT = 512 -- first bytes by which a direction is recognised

local function maybe_tls(raw)
    local kind, major, minor, high, low, first = byte(raw, 1, 6)
    if kind < 0x14 or kind > 0x17 or (major and major ~= 3) or (minor and minor > 4) then return false end
    if not first then return nil end
    local length = high * 256 + low
    if length == 0 or length > TLS_RECORD_MAX then return false end
    if kind == 0x14 then return length == 1 and first == 1 end
    if kind == 0x15 then
        return (length == 2 and (first == 1 or first == 2)) or (length > 2 and first ~= 98 and first ~= 116 and first ~= 101)
    end
    if kind == 0x16 then return length >= 4 and first <= 24 end
    return true
end

local function maybe_mqtt(raw)
    if byte(raw, 1) ~= 0x10 then return false end
    local at = 2
    while at < math.min(#raw + 1, 5) and byte(raw, at) >= 0x80 do at = at + 1 end
    local name = raw:sub(at + 1, at + 8)
    for _, wanted in ipairs({ "\0\4MQTT", "\0\6MQIsdp" }) do
        if name:sub(1, #wanted) == wanted then return true end
        if #name < #wanted and wanted:sub(1, #name) == name then return nil end
    end
    return false
end

local function maybe_http(raw)
    return raw:sub(1, 5) == "HTTP/" or raw:find("^%u%u%u%u?%u?%u?%u?%u?%u?%u?%u?%u?%u?%u?%u?%u? [^\r\n]") ~= nil
end

-- "hardware" or "app" by the headers; false for neither; nil while more bytes are needed.
local function dialect_of(raw)
    if #raw < 5 then return nil end
    local cmd, _, word = header(raw, 0, "hardware")
    local hardware = believable("hardware", cmd, word)
    if byte(raw, 4) ~= 0 or byte(raw, 5) ~= 0 then return hardware and "hardware" or false end
    -- No app knows the command, or begins with it: a device's ping or empty login stands alone.
    if hardware and cmd ~= RESPONSE and (not LONGEST.app[cmd] or (#raw == 5 and EMPTY_BODIED[cmd])) then
        return "hardware"
    end
    if #raw < 7 then return nil end
    local app = believable("app", header(raw, 0, "app"), select(3, header(raw, 0, "app")))
    if not (hardware and app) then return hardware and "hardware" or app and "app" end
    if #raw < 10 then return nil end
    local following, _, following_word = header(raw, 5, "hardware")
    local follows = believable("hardware", following, following_word)
    if follows and following == RESPONSE and following_word ~= SUCCESS then
        follows = not LONGEST.app[byte(raw, 8)]
    end
    return follows and "hardware" or "app"
end

-- What begins with these bytes: "tls", "http", "hardware", "app", or false; nil while more bytes are needed.
local function recognise(raw)
    local tls = maybe_tls(raw)
    if tls ~= false then return tls and "tls" end
    local mqtt = maybe_mqtt(raw)
    if mqtt ~= false then return not mqtt and nil end
    if not raw:sub(1, 8):find("[^\t\r\n\32-\126]") then
        if #raw < 8 then return nil end
        return maybe_http(raw) and "http"
    end
    return dialect_of(raw)
end

local function dissector_named(name)
    local found, dissector = pcall(Dissector.get, name)
    return found and dissector or nil
end

local OTHERS = {
    tcp = { http = dissector_named("http"), tls = dissector_named("tls") },
    tls = { http = dissector_named("http-over-tls") or dissector_named("http") },
}

local function whole(tvb)
    return tvb:raw(0, tvb:len())
end

-- More bytes of a TCP or TLS stream are asked for, unless the packet was cut when it was captured.
local function waiting_for(tvb, pinfo)
    return function(at, missing)
        if pinfo.can_desegment == 0 or tvb:reported_len() > tvb:len() then return false end
        pinfo.desegment_offset = at
        pinfo.desegment_len = missing or DESEGMENT_ONE_MORE_SEGMENT
        return true
    end
end

local function remember_path(conversation, raw)
    local path = raw:match("^GET ([^ \r\n]+)")
    if path then conversation.web = path:find("^/dashws") ~= nil end
    if raw:find("^HTTP/1%.1 101 ") then conversation.deflated = raw:find("permessage-deflate", 1, true) ~= nil end
end

-- Do the bytes hold one frame and nothing else? Then even an unknown command is one.
local function is_one_frame(raw)
    if #raw < 5 then return false end
    local cmd, _, word = header(raw, 0, "hardware")
    return #raw == 5 + (cmd == RESPONSE and 0 or word)
end

-- A frame in a direction that was joined in the middle: what follows it must be one too, or nothing.
local function hunted(lane, raw)
    if is_one_frame(raw) then return true end
    if lane.seen > HUNT_WINDOW then return false end
    local at = find_frame("hardware", raw, 0)
    if not at then return false end
    local cmd, _, word = header(raw, at, "hardware")
    return led_on("hardware", raw, at + HEADER_SIZE.hardware + (cmd == RESPONSE and 0 or word))
end

-- Does the first frame hold text, as far as it is here? Random bytes begin with a believable header rather often.
local function is_text_so_far(raw, dialect)
    local cmd, _, word = header(raw, 0, dialect)
    local size = HEADER_SIZE[dialect]
    return cmd == RESPONSE or not raw:sub(size + 1, size + word):find("[\1-\8\11\12\14-\31]")
end

-- What a direction speaks, where that is not known yet: a kind, false, or nil while more bytes are needed.
local function kind_of(lane, peer, tvb, raw)
    local dialect = peer and (peer.kind == "hardware" or peer.kind == "app") and peer.kind
    if dialect and #raw >= HEADER_SIZE[dialect] then
        local cmd, _, word = header(raw, 0, dialect)
        if believable(dialect, cmd, word) and recognise(raw) ~= "http" then return dialect end
    end
    local kind = recognise(raw)
    if kind == nil and #raw == 5 and is_one_frame(raw) and (raw:byte() == RESPONSE or not LONGEST.app[raw:byte()]) then
        return "hardware" -- a header that no app has, with nothing behind it
    end
    if (kind == "hardware" or kind == "app") and not is_text_so_far(raw, kind) then kind = false end
    if kind == false then
        if dialect then return dialect end
        return hunted(lane, whole(tvb)) and "hardware"
    end
    return kind
end

-- The kind of a direction in this packet: nothing that a later packet told counts for an earlier one.
local function settled_kind(lane, pinfo)
    return lane.kind and pinfo.number >= lane.since and lane.kind or nil
end

local function settle(lane, kind, pinfo)
    lane.kind, lane.since = kind, pinfo.number
end

-- A direction of a TCP connection, or of what travels inside TLS.
local function dissect_stream(tvb, pinfo, tree, layer)
    local total = tvb:len()
    if total == 0 then return 0 end
    local conversation, direction = conversation_of(pinfo)
    local lane = lane_of(conversation, direction, layer)
    local kind = settled_kind(lane, pinfo)
    if not kind then
        local raw = tvb:raw(0, math.min(total, LOOKED_AT))
        if pinfo.visited then
            kind = recognise(raw) == nil and nil
        else
            kind = kind_of(lane, conversation.lanes[layer .. (3 - direction)], tvb, raw)
        end
        if kind == nil and waiting_for(tvb, pinfo)(0, nil) then return total end
        if not pinfo.visited then lane.seen = lane.seen + total end
        if not kind then return 0 end
        settle(lane, kind, pinfo)
    end
    if kind == "http" or kind == "tls" then
        if kind == "http" then remember_path(conversation, tvb:raw(0, math.min(total, LOOKED_AT))) end
        local other = OTHERS[layer][kind]
        if not other then return 0 end
        -- What that dissector finds malformed is shown by Wireshark; here it would be an error of Lua.
        pcall(other.call, other, tvb, pinfo, tree)
        return total
    end
    dissect_frames(tvb, whole(tvb), kind, pinfo, tree, conversation, direction, waiting_for(tvb, pinfo))
    return total
end

function blynk.dissector(tvb, pinfo, tree)
    return dissect_stream(tvb, pinfo, tree, "tcp")
end

function blynk_tls.dissector(tvb, pinfo, tree)
    return dissect_stream(tvb, pinfo, tree, "tls")
end

-- --- other ports: only what can hardly be anything else ---

local function is_token(text)
    return #text == TOKEN_LENGTH and not text:find("[^%w_%-]")
end

-- Do frames fill the bytes exactly, one of them with a body that is surely Blynk's?
local function fills(raw)
    local at, sure = 0, false
    while at < #raw do
        if #raw - at < 5 then return false end
        local cmd, _, word = header(raw, at, "hardware")
        if not believable("hardware", cmd, word) then return false end
        local stop = at + 5 + (cmd == RESPONSE and 0 or word)
        if stop > #raw then return false end
        if cmd == HW and not sure then
            local op = raw:sub(at + 6, at + 7)
            sure = OPERATIONS[op] ~= nil and sound("hardware", raw, cmd, at + 5, stop, { control = -1 })
        end
        at = stop
    end
    return sure
end

local function surely_blynk(raw)
    if #raw < 5 then return nil end
    local cmd, _, word = header(raw, 0, "hardware")
    if LOGINS[cmd] and word == TOKEN_LENGTH and is_token(raw:sub(6, 5 + word)) then return "hardware" end
    if #raw > 7 and (LOGINS[cmd] or cmd == REGISTER or cmd == SHARE_LOGIN) then
        local _, _, long = header(raw, 0, "app")
        if #raw == 7 + long and raw:find("^[%w%.%_%+%-]+@[%w%.%-]+%f[^%w%.%-]", 8) then return "app" end
    end
    return fills(raw) and "hardware" or nil
end

local function heuristic(layer)
    return function(tvb, pinfo, tree)
        local conversation, direction = conversation_of(pinfo)
        local lane = lane_of(conversation, direction, layer)
        if not lane.kind and not pinfo.visited then
            local peer = conversation.lanes[layer .. (3 - direction)]
            local kind = peer and (peer.kind == "hardware" or peer.kind == "app") and peer.kind or surely_blynk(whole(tvb))
            if kind then settle(lane, kind, pinfo) end
        end
        local kind = settled_kind(lane, pinfo)
        if kind ~= "hardware" and kind ~= "app" then return false end
        -- TCP shall come straight here from now on; TLS asks for each record.
        if layer == "tcp" then pinfo.conversation = blynk end
        dissect_stream(tvb, pinfo, tree, layer)
        return true
    end
end

-- --- WebSocket ---

local websocket_opcode = Field.new("websocket.opcode")

-- The dialect of a first message: by the path of the upgrade, else by its own bytes.
local function dialect_of_message(conversation, raw)
    if conversation.web ~= nil then return conversation.web and "web" or "hardware" end
    if surely_blynk(raw) == "hardware" then return "hardware" end
    if #raw < 3 then return nil end
    if byte(raw, 1) == RESPONSE then
        if #raw == 7 and STATUSES[select(3, header(raw, 0, "app"))] then return "web" end
        if #raw == 5 and STATUSES[select(3, header(raw, 0, "hardware"))] then return "hardware" end
        return nil
    end
    if byte(raw, 1) == APP_LOGIN and raw:find("^[%w%.%_%+%-]+@", 4) then return "web" end
    return nil
end

local function dissect_web(tvb, raw, pinfo, tree, conversation, direction)
    if #raw < 3 then
        show_cut(tvb, 0, "web", nil, nil, nil, #raw, pinfo, tree)
        return
    end
    local cmd, i1, i2 = byte(raw, 1, 3)
    local word = #raw - 3
    if cmd == RESPONSE then
        if #raw ~= 7 then
            local item = tree:add(blynk, tvb(0, #raw))
            item:add_proto_expert_info(e.web)
            column(pinfo, "a RESPONSE of the wrong size")
            return
        end
        word = select(3, header(raw, 0, "app"))
    end
    show_frame(tvb, raw, 0, #raw, cmd, i1 * 256 + i2, word, "web", pinfo, tree, conversation, direction)
end

-- What the messages before this one left over; false where this one does not end it either. The first pass notes it
-- for each message of a packet, in order, as far as there is anything to note; later passes go round that list.
local function carried_before(lane, pinfo, size)
    local number = pinfo.number
    if lane.packet ~= number then
        lane.packet, lane.place = number, 0
    end
    local list = lane.messages[number]
    if pinfo.visited then
        if not list then return "" end
        lane.place = lane.place % #list + 1
        return list[lane.place]
    end
    local before = ""
    if lane.pieces then
        -- The pieces are joined once, when the frame is whole: a hostile peer sends it byte by byte.
        before = not (lane.need and lane.have + size < lane.need) and table.concat(lane.pieces)
    end
    lane.place = lane.place + 1
    if before ~= "" and not list then
        list = {}
        for place = 1, lane.place - 1 do list[place] = "" end
        lane.messages[number] = list
    end
    if list then list[lane.place] = before end
    return before
end

local function show_beginning(tvb, at, pinfo, tree)
    local item = tree:add(blynk, tvb(at))
    item:set_text("Blynk, a part of a frame that a later message ends")
    column(pinfo, "a part of a frame")
end

-- In the hardware dialect WebSocket is a stream of bytes: a frame that its message does not end is carried over.
local function dissect_carried(tvb, raw, pinfo, tree, conversation, direction, lane)
    local carried = carried_before(lane, pinfo, #raw)
    if not carried then
        if not pinfo.visited then
            lane.pieces[#lane.pieces + 1] = raw
            lane.have = lane.have + #raw
        end
        show_beginning(tvb, 0, pinfo, tree)
        return
    end
    if carried ~= "" then
        raw = carried .. raw
        tvb = ByteArray.new(raw, true):tvb("Blynk frames")
    end
    if not pinfo.visited then lane.pieces = nil end
    dissect_frames(tvb, raw, "hardware", pinfo, tree, conversation, direction, function(at, missing)
        if not pinfo.visited then
            lane.pieces, lane.have = { raw:sub(at + 1) }, #raw - at
            lane.need = missing and lane.have + missing
        end
        show_beginning(tvb, at, pinfo, tree)
        return true
    end)
end

-- Blynk travels in binary messages. The opcode is not at hand where nobody asked for the tree of fields.
local function is_text(raw)
    local opcodes = { websocket_opcode() }
    local opcode = opcodes[#opcodes]
    if opcode then return opcode.value == 1 end
    return not LONGEST.web[byte(raw, 1)] and not raw:find("[^\t\r\n\32-\126]")
end

-- Blynk's frames are lost where Wireshark does not give the payload of a message: that is not to pass for silence.
local function show_lost_parts(range, why, pinfo, tree)
    local item = tree:add(blynk, range)
    item:set_text("Blynk, a WebSocket message of several frames that cannot be read: " .. why)
    item:add_proto_expert_info(e.parts, "The Blynk frames of this WebSocket message are not shown: " .. why)
    column(pinfo, "not put together: " .. why)
end

-- Wireshark inflates a message that one frame holds. Of several it gives the compressed bytes, which begin with no frame.
local function is_left_compressed(conversation, lane, raw)
    local opcodes = { websocket_opcode() }
    local opcode = opcodes[#opcodes]
    if not conversation.deflated or lane.pieces or (opcode and opcode.value ~= 0) then return false end
    if lane.kind == "web" then return not LONGEST.web[byte(raw, 1)] end
    if #raw < HEADER_SIZE.hardware then return true end
    local cmd, _, word = header(raw, 0, "hardware")
    return not believable("hardware", cmd, word) or HEADER_SIZE.hardware + (cmd == RESPONSE and 0 or word) > #raw
end

local function websocket_heuristic(tvb, pinfo, tree)
    local total = tvb:len()
    if total == 0 or tvb:reported_len() > total then return false end
    local conversation, direction = conversation_of(pinfo)
    local lane, raw = lane_of(conversation, direction, "ws"), whole(tvb)
    if is_text(raw) then return false end
    if not lane.kind and not pinfo.visited then
        local peer = conversation.lanes["ws" .. (3 - direction)]
        local kind = peer and peer.kind or dialect_of_message(conversation, raw)
        if kind then settle(lane, kind, pinfo) end
    end
    if not settled_kind(lane, pinfo) then return false end
    if is_left_compressed(conversation, lane, raw) then
        show_lost_parts(tvb(), "its frames are compressed together", pinfo, tree)
        return true
    end
    if lane.kind == "web" then
        dissect_web(tvb, raw, pinfo, tree, conversation, direction)
    else
        dissect_carried(tvb, raw, pinfo, tree, conversation, direction, lane)
    end
    return true
end

blynk:register_heuristic("tcp", heuristic("tcp"))
blynk_tls:register_heuristic("tls", heuristic("tls"))
blynk:register_heuristic("ws", websocket_heuristic)

-- On its own ports everything comes here first, and what is no Blynk is handed on.
local tcp_ports, tls_ports = DissectorTable.get("tcp.port"), DissectorTable.get("tls.port")
for _, port in ipairs(PLAIN_PORTS) do tcp_ports:add(port, blynk) end
for _, port in ipairs(TLS_PORTS) do
    if port ~= 443 then tcp_ports:add(port, blynk) end
    tls_ports:add(port, blynk_tls)
end

-- A message whose last frame is empty (libraries end so what they send piece by piece) Wireshark passes over altogether.
local websocket_fin, websocket_length = Field.new("websocket.fin"), Field.new("websocket.payload_length")
local blynk_parts = Proto("blynk_parts", "Blynk in parts of WebSocket messages")

function blynk_parts.dissector(tvb, pinfo, tree)
    local fins = { websocket_fin() }
    if #fins == 0 then return end
    local opcodes, lengths = { websocket_opcode() }, { websocket_length() }
    for place, fin in ipairs(fins) do
        local opcode, length = opcodes[place], lengths[place]
        if fin.value and opcode and opcode.value == 0 and length and length.value == 0 then
            local conversation = conversation_of(pinfo)
            local one, other = conversation.lanes.ws1, conversation.lanes.ws2
            if conversation.web ~= nil or (one and one.kind) or (other and other.kind) then
                show_lost_parts(tvb(), "its last frame is empty", pinfo, tree)
            end
        end
    end
end

register_postdissector(blynk_parts)
