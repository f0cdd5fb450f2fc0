local function make(depth)
  if depth == 0 then return {false, false} end
  return {make(depth - 1), make(depth - 1)}
end
local function check(tree)
  if not tree[1] then return 1 end
  return 1 + check(tree[1]) + check(tree[2])
end
local kept, sum = make(14), 0
for _ = 1, 200 do sum = sum + check(make(11)) end
print(check(kept) + sum)
