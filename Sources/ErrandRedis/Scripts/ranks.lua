-- What scripts share that read schedules and their decisions a page at a time.
--
-- Of schedules there are the hashes `N`, the version of each, and `N:body`; and the sets `N:id`, all by name, `N:due` by when
-- they are due and `N:cursor` by how far they are decided, those that are due at some time, and `N:end`, those that are
-- complete or retired, by since when. Of the decisions of one there are the hash `K:` and the sets `Kn:`, all by nominal time,
-- and `Kr:`, those that are about several ticks; and of all together the set `Kd` by when they were made.

-- Whether a name stands in front of another, byte by byte: comparing strings would ask the server's locale.
local function isBelow(name, other)
    for at = 1, math.min(#name, #other) do
        local first, second = byte(name, at), byte(other, at)
        if first ~= second then return first < second end
    end
    return #name < #other
end

-- How many members of a set have a lower score, or the same and a lower name.
local function inFront(key, score, name)
    local low, high = call('ZCOUNT', key, '-inf', '(' .. score), call('ZCOUNT', key, '-inf', score)
    while low < high do
        local middle = floor((low + high) / 2)
        if isBelow(call('ZRANGE', key, middle, middle)[1], name) then low = middle + 1 else high = middle end
    end
    return low
end
