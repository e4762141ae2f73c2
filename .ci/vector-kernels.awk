# Reads `objdump -d -C` of a release build: in the kernels on wide registers nothing may turn vector data into flags,
# gather or scatter by it, or move it to a general register, but for the results named below. What this cannot see:
# a register spilled to the stack and read back as a number. Masks of AVX-512 serve as operands alone.
/^[0-9a-f]+ <.*>:$/ {
  name = $0
  sub(/^[0-9a-f]+ </, "", name)
  sub(/>:$/, "", name)
  kernel = name ~ /sm_accel::(sm4::(aesni|vaes|gfni_avx2|gfni_avx512|words_aes|words_gfni|ghash::v?clmul[0-9]*)|sm3::lanes_avx[0-9]*(_pair)?)::|sm_accel::sm2::select::avx(2|512)::/
  if (kernel) functions[name] = 1
  next
}
!kernel { next }
/\tj[a-z]+ / && !/\tjmp/ { jumps[name]++ }
# The least of the messages' lengths, which are public, is found in vectors.
name ~ /sm3::lanes_avx[0-9]*::absorb$/ && /\tv(pgatherdq|movq)[ \t]/ { next }
/\t(v?ptest|v?testp[sd]|v?p?movmsk[a-z]*|k(or)?test[bwdq]|v?u?comis[sd]|v?pcmp[ei]str[im]|v?p?gather[a-z]+|v?p?scatter[a-z]+)[ \t]/ { bad(); next }
# GHASH gives its sum of 128 bits in two general registers.
name ~ /ghash::v?clmul[0-9]*::absorb$/ { next }
/\tv?(pextr[bwdq]|extractps)[ \t].*,(%[er]|[^%]*\()/ || /\tv?mov[dq][ \t]+%[xyz]mm[0-9]+,%[er]/ || /\tkmov[bwdq][ \t]+%k[0-7],(%[er]|[^%]*\()/ { bad() }
function bad() { print "vector data leaves its registers: " name ": " $0; failed = 1 }
END {
  for (f in functions) { count++; printf "  %3d conditional jumps  %s\n", jumps[f], f }
  if (count < 12) { print "only " count + 0 " kernels found: the names have changed"; failed = 1 }
  exit failed
}
