local function is_safe(column, placed)
  local distance = 1
  while placed do
    local row = placed[1]
    if row == column or row == column + distance or row == column - distance then return false end
    placed, distance = placed[2], distance + 1
  end
  return true
end
local function count(n, placed, row)
  if row == n then return 1 end
  local sum = 0
  for column = 0, n - 1 do
    if is_safe(column, placed) then sum = sum + count(n, {column, placed}, row + 1) end
  end
  return sum
end
print(count(9, nil, 0))
