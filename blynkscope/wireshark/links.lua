-- Conversations, and which frame answers which.
--
-- All of it is found in the first pass over the packets and kept by packet, so that later passes show the same.

local stream_number = Field.new("tcp.stream")

local conversations = {} -- by stream number, or by addresses where that is not at hand
local by_packet = {} -- the conversation of each packet of the first pass
local links = {} -- by frame: { to = packet, time = NSTime, found = packet }

function blynk.init()
    conversations, by_packet, links = {}, {}, {}
end

local function new_waiting()
    return { newest = {}, order = {}, first = 1, writes = {}, count = 0 }
end

local function new_conversation()
    return { lanes = {}, waiting = { new_waiting(), new_waiting() }, room = {}, slowest = nil }
end

local function address_key(pinfo)
    local a = tostring(pinfo.src) .. " " .. pinfo.src_port
    local b = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    return a < b and a .. " " .. b or b .. " " .. a
end

-- The conversation of the packet, and its direction: 1 from the higher port (the client as a rule), 2 back.
local function conversation_of(pinfo)
    local forward = pinfo.src_port > pinfo.dst_port
        or (pinfo.src_port == pinfo.dst_port and tostring(pinfo.src) > tostring(pinfo.dst))
    local number = pinfo.number
    local found = by_packet[number]
    if not found then
        local stream = stream_number()
        local key = stream and stream.value or address_key(pinfo)
        found = conversations[key]
        if not found then
            found = new_conversation()
            conversations[key] = found
        end
        by_packet[number] = found
    end
    return found, forward and 1 or 2
end

-- What is known about one direction inside one layer ("tcp", "tls" or "ws").
local function lane_of(conversation, direction, layer)
    local name = layer .. direction
    local lane = conversation.lanes[name]
    if not lane then
        lane = { messages = {}, seen = 0 }
        conversation.lanes[name] = lane
    end
    return lane
end

local function ask(waiting, request)
    local older = waiting.newest[request.id]
    if older then
        older.older = nil -- two of the same id are kept, not a chain
        older.replaced = true
        request.older = older
    end
    waiting.newest[request.id] = request
    waiting.order[#waiting.order + 1] = request
    waiting.count = waiting.count + 1
    while #waiting.order - waiting.first + 1 > PENDING_MAX do
        local oldest = waiting.order[waiting.first]
        waiting.order[waiting.first] = false
        waiting.first = waiting.first + 1
        if oldest and waiting.newest[oldest.id] == oldest then waiting.newest[oldest.id] = nil end
    end
    if waiting.first > PENDING_MAX then
        waiting.order = { table.unpack(waiting.order, waiting.first) }
        waiting.first = 1
    end
end

local function forget(waiting, request)
    local newest = waiting.newest[request.id]
    if newest == request then
        waiting.newest[request.id] = request.older
    elseif newest then
        newest.older = nil
    end
end

local function is_among(list, wanted)
    for _, one in ipairs(list) do
        if one == wanted then return true end
    end
    return false
end

local function last_write(waiting, id, count)
    local write = waiting.writes[id]
    if write and not write.answered and count - write.count < RECENT_WRITES then return write end
    return nil
end

local function answered_by_status(waiting, id, status)
    local newest = waiting.newest[id]
    local write = last_write(waiting, id, waiting.written or 0)
    if status == SUCCESS and newest then write = nil end
    if not newest then
        if write then write.answered = true end
        return write
    end
    local candidates, fitting = {}, nil
    for _, one in ipairs(newest.older and { newest.older, newest } or { newest }) do
        -- A sync is answered by values, never by a status of success.
        if status ~= SUCCESS or one.ack ~= "sync" then candidates[#candidates + 1] = one end
    end
    if #candidates == 0 then return nil end
    local last_fitting
    for _, one in ipairs(candidates) do
        local fits
        if not one.row then
            fits = true
        elseif status == SUCCESS then
            fits = one.ack == "status" or one.ack == "by-body"
        else
            fits = is_among(one.row.failures, status)
        end
        if fits then
            fitting = fitting or one
            last_fitting = one
        end
    end
    if status ~= SUCCESS and write and (not last_fitting or write.serial > last_fitting.serial) then
        write.answered = true
        return write
    end
    local request = fitting or candidates[1]
    forget(waiting, request)
    return request
end

local function answered_by_frame(waiting, cmd, id)
    local request = waiting.newest[id]
    if not request or request.cmd ~= cmd or not request.takes_frame then return nil end
    forget(waiting, request)
    return request
end

local function duration(seconds)
    local whole, part = math.modf(seconds)
    local nanoseconds = part * 1e9
    return NSTime.new(whole, math.floor(nanoseconds + 0.5))
end

local function answered_by_sync(conversation, waiting, id, pin, time)
    local request = waiting.newest[id]
    if not request or request.cmd ~= HW_SYNC then return nil end
    if time - request.time > SYNC_SECONDS then return nil end
    if not request.pins and conversation.slowest then
        -- A sync of all pins names none: its answers come one soon after the other.
        if time - (request.heard_at or request.time) > conversation.slowest * SYNC_ALL_FACTOR + SYNC_ALL_SLACK then
            return nil
        end
        request.heard_at = time
    end
    if request.pins then
        if not request.pins[pin] then return nil end
        request.pins[pin] = nil
    end
    return request
end

local SYNC_WRITES = {}
for read, reading in pairs(OPERATIONS) do
    for write, writing in pairs(OPERATIONS) do
        if reading.shape == "pins" and writing.writes and reading.letter == writing.letter then
            SYNC_WRITES[read] = write
        end
    end
end

-- Operation and pin of a HW body: "vw 1".
local function written_pin(dialect, raw)
    local rest = raw
    if dialect ~= "hardware" then rest = raw:match("^[^\0]*\0(.*)$") or "" end
    local op, pin = rest:match("^(%l%l)\0([^\0]*)")
    return op, pin
end

local serial = 0

-- Follows one frame of the first pass; gives what it answers.
local function follow(conversation, direction, frame)
    serial = serial + 1
    frame.serial = serial
    local own, other = conversation.waiting[direction], conversation.waiting[3 - direction]
    local answered
    if frame.cmd == RESPONSE then
        answered = answered_by_status(other, frame.id, frame.word)
    elseif frame.cmd == HW then
        local op, pin = written_pin(frame.dialect, frame.raw)
        if op and (OPERATIONS[op] or {}).writes or op == "vm" then
            answered = answered_by_sync(
                conversation, other, frame.id, (op == "vm" and "vw" or op) .. " " .. pin, frame.time)
        end
        if not answered then
            own.written = (own.written or 0) + 1
            frame.count = own.written
            own.writes[frame.id] = frame
            if own.written % 4096 == 0 then
                for id, write in pairs(own.writes) do
                    if own.written - write.count >= RECENT_WRITES then own.writes[id] = nil end
                end
            end
        end
    else
        answered = answered_by_frame(other, frame.cmd, frame.id)
        if not answered then
            local row = exact_row(frame.dialect, frame.cmd)
            frame.row = row
            frame.ack = row and row.ack or "unknown"
            frame.takes_frame = not row or row.ack == "same-command" or row.ack == "unknown"
            if frame.cmd == HW_SYNC then
                local op, rest = frame.raw:match("^(%l%l)\0(.*)$")
                if op and SYNC_WRITES[op] then
                    frame.pins = {}
                    local count = 0
                    for pin in rest:gmatch("[^\0]+") do
                        count = count + 1
                        if count > SYNC_PINS then break end
                        frame.pins[SYNC_WRITES[op] .. " " .. pin] = true
                    end
                end
            elseif frame.cmd == INTERNAL then
                frame.takes_frame = ASKS_FOR_DATA[frame.raw:match("^[^\0]*")] or false
                local announced = ("\0" .. frame.raw):match("\0buff%-in\0(%d%d?%d?%d?%d?)%f[^%d]")
                if announced then conversation.room[direction] = tonumber(announced) end
            end
            -- Servers ask nothing but pings, and logins where a phone talks to the device directly.
            if direction == 1 or frame.login or frame.cmd == PING or not row then ask(own, frame) end
        end
    end
    frame.raw = nil
    return answered
end
