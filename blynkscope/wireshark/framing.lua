-- Bytes in, frames out: the same headers, the same belief in them and the same caps as blynkscope's own framer.
--
-- Two things are weaker here. A dissector sees one segment (or what it asked to have joined): a header that is not
-- believable is settled by the bytes at hand. And Wireshark does not say that bytes are missing before a segment.

local byte = string.byte

-- Command, id and word of the header at `at` (0-based) of `raw`; the caller knows that it is there.
local function header(raw, at, dialect)
    local cmd, i1, i2, w1, w2, w3, w4 = byte(raw, at + 1, at + HEADER_SIZE[dialect])
    local id = i1 * 256 + i2
    if dialect == "hardware" then return cmd, id, w1 * 256 + w2 end
    return cmd, id, ((w1 * 256 + w2) * 256 + w3) * 256 + w4
end

local function believable(dialect, cmd, word)
    if cmd == RESPONSE then return STATUSES[word] ~= nil end
    return word <= (LONGEST[dialect][cmd] or -1)
end

-- Is the body at `raw[at, stop)` text as Blynk bodies are, and does it begin as a body of the command does?
local function sound(dialect, raw, cmd, at, stop, seen)
    if cmd == RESPONSE or at == stop then return true end
    if dialect ~= "app" then
        -- The place of the next control character is kept: hostile bytes have a header at every offset.
        if seen.control < at then
            seen.control = (raw:find("[\1-\8\11\12\14-\31]", at + 1) or #raw + 1) - 1
        end
        if seen.control < stop then return false end
    end
    local row = exact_row(dialect, cmd)
    return row ~= nil and not body_problem(row, raw:sub(at + 1, math.min(stop, at + PROVING)))
end

-- The offset of the first frame at or behind `from` that proves itself; nil if there is none.
local function find_frame(dialect, raw, from)
    local size, seen = HEADER_SIZE[dialect], { control = -1 }
    for at = from, math.min(#raw, from + RESYNC_WINDOW) - size do
        local cmd, _, word = header(raw, at, dialect)
        if believable(dialect, cmd, word) then
            local length = cmd == RESPONSE and 0 or word
            local stop = at + size + length
            if stop <= #raw and (length > 0 or cmd == RESPONSE or EMPTY_BODIED[cmd]) then
                local proven = length >= WEAK_BODY or stop == #raw
                if not proven and stop + size <= #raw then
                    local following, _, following_word = header(raw, stop, dialect)
                    proven = believable(dialect, following, following_word)
                end
                if proven and sound(dialect, raw, cmd, at + size, stop, seen) then return at end
            end
        end
    end
    return nil
end

-- Does a believable header, or the end of the bytes, follow the frame that ends at `stop`?
local function led_on(dialect, raw, stop)
    if stop == #raw then return true end
    if stop + HEADER_SIZE[dialect] > #raw then return false end
    local cmd, _, word = header(raw, stop, dialect)
    if believable(dialect, cmd, word) then return true end
    -- A run of unknown commands is held together.
    return cmd ~= RESPONSE and not LONGEST[dialect][cmd] and word <= CHAIN_BODY and stop + HEADER_SIZE[dialect] + word == #raw
end

local last_shown = nil -- packet whose Info column has been written

local function column(pinfo, text)
    pinfo.cols.protocol:set("Blynk")
    if last_shown == pinfo.number then
        pinfo.cols.info:append(" | " .. text)
    else
        last_shown = pinfo.number
        pinfo.cols.info:set(text)
    end
end

-- Shall an item be added that only a person, or who asks for it by name, looks at?
local function wanted(tree, field)
    return tree.visible or tree:referenced(field)
end

local function show_status(item, tree, range, frame, asked)
    local status = STATUSES[frame.word]
    tree:add(f.status, range)
    if not status then
        tree:add(f.status_name, range, "STA_?" .. frame.word):set_generated()
        tree:add_proto_expert_info(e.status, "Unknown status " .. frame.word)
        return "STA_?" .. frame.word
    end
    tree:add(f.status_name, range, status.name):set_generated()
    if wanted(tree, f.status_meaning) then tree:add(f.status_meaning, range, status.doc):set_generated() end
    if status.fix ~= "" and wanted(tree, f.status_fix) then
        tree:add(f.status_fix, range, status.fix):set_generated()
    end
    if asked == "login" and frame.word ~= SUCCESS and frame.word ~= ALREADY_REGISTERED then
        tree:add_proto_expert_info(e.login, "The login was refused: " .. status.name)
    elseif status.severity then
        tree:add_proto_expert_info(e[status.severity], status.name)
    end
    return status.name
end

local function show_link(tree, link)
    if not link then return end
    if link.to then
        tree:add(f.response_to, link.to):set_generated()
        tree:add(f.response_time, link.time):set_generated()
    end
    if link.found then tree:add(f.response_in, link.found):set_generated() end
end

-- One whole frame: `tvb` holds it at `at`, `stop` is the offset behind it.
local function show_frame(tvb, raw, at, stop, cmd, id, word, dialect, pinfo, tree, conversation, direction)
    local size = HEADER_SIZE[dialect]
    local range = tvb(at, stop - at)
    local body = cmd == RESPONSE and "" or raw:sub(at + size + 1, stop)
    local frame = {
        cmd = cmd, id = id, word = word, dialect = dialect, raw = body, packet = pinfo.number, time = pinfo.rel_ts,
        login = LOGINS[cmd] or (dialect ~= "hardware" and cmd == SHARE_LOGIN),
    }
    frame.key = table.concat({ pinfo.number, at, #raw, cmd, id, word }, ":")
    if not pinfo.visited then
        local answered = follow(conversation, direction, frame)
        if answered then
            local link = links[frame.key] or {}
            local taken = frame.time - answered.time
            link.to, link.time, link.asked = answered.packet, duration(taken), answered.login and "login"
            links[frame.key] = link
            if answered.cmd ~= HW and not answered.timed and taken > (conversation.slowest or 0) then
                conversation.slowest = taken
            end
            answered.timed = true
            local back = links[answered.key] or {}
            back.found = back.found or frame.packet
            links[answered.key] = back
        end
        local room = conversation.room[3 - direction]
        if room and dialect == "hardware" and cmd ~= RESPONSE and size + word > room then
            links[frame.key] = links[frame.key] or {}
            links[frame.key].room = room
        end
    end
    local link = links[frame.key]
    local row = row_of(dialect, cmd)
    local name = row and row.name or "MSG_?" .. cmd
    local short = name:gsub("^MSG_", "")
    local item = tree:add(blynk, range)
    local label = short .. " id " .. id
    item:add(f.dialect, tvb(at, 0), dialect):set_generated()
    item:add(f.cmd, tvb(at, 1)):append_text(" (" .. name .. ")")
    item:add(f.cmd_name, tvb(at, 1), name):set_generated()
    if row and row.aliases ~= "" and wanted(item, f.aliases) then item:add(f.aliases, tvb(at, 1), row.aliases):set_generated() end
    local id_item = item:add(f.id, tvb(at + 1, 2))
    if id == 0 then id_item:add_proto_expert_info(e.id) end
    if cmd == RESPONSE then
        local width = dialect == "hardware" and 2 or 4
        label = label .. " " .. show_status(item, item, tvb(at + 3, width), frame, link and link.asked)
    else
        if dialect == "web" then
            item:add(f.length, range, word):set_generated()
        else
            item:add(f.length, tvb(at + 3, size - 3))
        end
        if not row then item:add_proto_expert_info(e.command, "Unknown command " .. cmd) end
        if direction == 1 and row and row.ack_text ~= "" and wanted(item, f.ack) then
            item:add(f.ack, tvb(at, 1), row.ack_text):set_generated()
        end
        if link and link.room then
            item:add_proto_expert_info(
                e.oversized, string.format("%d bytes, but the receiver announced a buffer of %d", size + word, link.room))
        end
        local body_range = #body > 0 and tvb(at + size, #body)
        local body_tree = body_range and item:add(f.body, body_range)
        if row then
            if body_range then
                local reading = show_body(row, item, body_range, body)
                if reading ~= "" then label = label .. " " .. shortened(reading, INFO_MAX) end
            end
            local problem = body_problem(row, body)
            if problem then
                item:add(f.problem, range, problem):set_generated()
                item:add_proto_expert_info(e.body, "The body does not parse for its command: " .. problem)
            end
        elseif body_range then
            label = label .. " " .. shortened(blynk.prefs.show_secrets and body or without_secrets(body), INFO_MAX)
        end
    end
    show_link(item, link)
    item:set_text("Blynk, " .. label)
    column(pinfo, label)
end

local function show_skipped(tvb, at, size, pinfo, tree)
    local item = tree:add(blynk, tvb(at, size))
    item:set_text("Blynk, " .. size .. " bytes that belong to no frame")
    item:add(f.skipped, tvb(at, size))
    item:add_proto_expert_info(e.skipped, size .. " bytes that belong to no frame")
    column(pinfo, size .. " bytes skipped")
end

-- `need` is the size of the whole frame, nil where not even its header is here.
local function show_cut(tvb, at, dialect, cmd, id, need, have, pinfo, tree)
    local row = cmd and row_of(dialect, cmd)
    local name = row and row.name:gsub("^MSG_", "") or cmd and "MSG_?" .. cmd or "a frame"
    local label = id and name .. " id " .. id or name
    local text = need and string.format("%d of its %d bytes are here", have, need) or have .. " bytes of it are here"
    local item = tree:add(blynk, tvb(at, have))
    item:set_text("Blynk, cut: " .. label)
    item:add(f.problem, tvb(at, have), text):set_generated()
    item:add_proto_expert_info(e.cut, "The rest of the frame is missing: " .. text)
    column(pinfo, label .. " (cut: " .. text .. ")")
end

-- Cuts the frames off `tvb`. `wait(at, missing)` is told where a frame begins that needs more bytes, and says whether
-- they can come; `missing` is nil where nobody knows how many.
local function dissect_frames(tvb, raw, dialect, pinfo, tree, conversation, direction, wait)
    local size, at, total = HEADER_SIZE[dialect], 0, #raw
    while at < total do
        if total - at < size then
            if not wait(at, nil) then show_cut(tvb, at, dialect, nil, nil, nil, total - at, pinfo, tree) end
            return
        end
        local cmd, id, word = header(raw, at, dialect)
        local stop = at + size + (cmd == RESPONSE and 0 or word)
        if believable(dialect, cmd, word) then
            if stop > total then
                if not wait(at, stop - total) then show_cut(tvb, at, dialect, cmd, id, stop - at, total - at, pinfo, tree) end
                return
            end
            show_frame(tvb, raw, at, stop, cmd, id, word, dialect, pinfo, tree, conversation, direction)
            at = stop
        else
            if stop > total or not led_on(dialect, raw, stop) then
                local found = find_frame(dialect, raw, at + 1) or total
                show_skipped(tvb, at, found - at, pinfo, tree)
                at = found
            else
                show_frame(tvb, raw, at, stop, cmd, id, word, dialect, pinfo, tree, conversation, direction)
                at = stop
            end
        end
    end
end
