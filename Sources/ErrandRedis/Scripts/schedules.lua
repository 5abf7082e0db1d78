-- Reads schedules.
-- ARGV: time, then `due`, the most, how far a cursor may be ahead of the time, and when the one to go on behind was due with
-- its name, or nothing; or `page`, the most and the name to go on behind, or nothing; or `ids` and names.
-- Answers: time, when the next one is due that is not due yet, or nothing, and for each its name, when it is due, or nothing,
-- and its body, or nothing.

local what, ids, dues, nextDue = ARGV[2], {}, {}, ''

-- Those that are due because their time has come, and behind them those of which the clock was set back: there are none of
-- them nearly always, and what is not among the first thousand has its turn when these are put right.
local function readDue(most, ahead, time, name)
    local key, from = P .. 'N:due', 0
    if name then from = inFront(key, time, name .. '\0') end
    local found = call('ZRANGE', key, from, from + most - 1, 'WITHSCORES')
    for index = 1, #found, 2 do
        if tonumber(found[index + 1]) > now then break end
        ids[#ids + 1], dues[#dues + 1] = found[index], found[index + 1]
    end
    if #ids == most then return end
    local far = {}
    local edge = string.format('(%.0f', now + ahead)
    for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'N:cursor', edge, '+inf', 'LIMIT', 0, 1000)) do
        local text = call('ZSCORE', key, id)
        local due = text and tonumber(text)
        if due and due > now then
            local last = name and tonumber(time)
            if not name or due > last or due == last and isBelow(name, id) then
                far[#far + 1] = { id = id, due = due, text = text }
            end
        end
    end
    table.sort(far, function(one, other)
        if one.due ~= other.due then return one.due < other.due end
        return isBelow(one.id, other.id)
    end)
    for index = 1, math.min(#far, most - #ids) do
        ids[#ids + 1], dues[#dues + 1] = far[index].id, far[index].text
    end
end

if what == 'due' then
    local most = tonumber(ARGV[3])
    if most > 0 then readDue(most, tonumber(ARGV[4]), ARGV[5], ARGV[6]) end
    local later = call('ZRANGEBYSCORE', P .. 'N:due', string.format('(%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    nextDue = later[2] or ''
elseif what == 'page' then
    local from = ARGV[4] and '(' .. ARGV[4] or '-'
    ids = call('ZRANGEBYLEX', P .. 'N:id', from, '+', 'LIMIT', 0, ARGV[3])
else
    for index = 3, #ARGV do ids[index - 2] = ARGV[index] end
end

local answer, bodies = { string.format('%.0f', now), nextDue }, getAll(P .. 'N:body', ids)
for index, id in ipairs(ids) do
    answer[3 * index], answer[3 * index + 1], answer[3 * index + 2] = id, dues[index] or '', bodies[index]
end
return answer
