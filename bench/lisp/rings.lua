local function ring()
  local a, b
  a = function() return b end
  b = function() return a end
  a()
end
for _ = 1, 200000 do ring() end
print(0)
