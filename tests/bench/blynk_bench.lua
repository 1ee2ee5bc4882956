-- The plain hardware dialect for tshark, as small as a useful dissector can be: the peer of the benchmark.

local blynk = Proto("blynk", "Blynk hardware dialect")

local cmd = ProtoField.uint8("blynk.cmd", "Command")
local id = ProtoField.uint16("blynk.id", "Message id")
local length = ProtoField.uint16("blynk.length", "Length")
local status = ProtoField.uint16("blynk.status", "Status")
local body = ProtoField.bytes("blynk.body", "Body")
local op = ProtoField.string("blynk.op", "Operation")
local pin = ProtoField.string("blynk.pin", "Pin")
local value = ProtoField.string("blynk.value", "Value")
blynk.fields = { cmd, id, length, status, body, op, pin, value }

local HEADER, RESPONSE, HW_SYNC, PROPERTY, HW = 5, 0, 16, 19, 20

local function frame_size(buffer, _, offset)
    if buffer(offset, 1):uint() == RESPONSE then
        return HEADER -- the length field of a response is its status
    end
    return HEADER + buffer(offset + 3, 2):uint()
end

local function pin_operation(range, tree, first)
    local at, role = 0, first
    for part in range:raw():gmatch("[^%z]+") do
        tree:add(role, range(at, #part), part)
        at = at + #part + 1
        role = role == op and pin or value
        if at >= range:len() then break end
    end
end

local function frame(buffer, packet, tree)
    packet.cols.protocol = "Blynk"
    local code = buffer(0, 1):uint()
    local size = buffer:len()
    local branch = tree:add(blynk, buffer(0, size))
    branch:add(cmd, buffer(0, 1))
    branch:add(id, buffer(1, 2))
    if code == RESPONSE then
        branch:add(status, buffer(3, 2))
        return size
    end
    branch:add(length, buffer(3, 2))
    if size > HEADER then
        local range = buffer(HEADER, size - HEADER)
        branch:add(body, range)
        if code == HW or code == HW_SYNC then
            pin_operation(range, branch, op)
        elseif code == PROPERTY then
            pin_operation(range, branch, pin)
        end
    end
    return size
end

function blynk.dissector(buffer, packet, tree)
    dissect_tcp_pdus(buffer, tree, HEADER, frame_size, frame)
    return buffer:len()
end

DissectorTable.get("tcp.port"):add(8080, blynk)
DissectorTable.get("tls.port"):add(9443, blynk)
