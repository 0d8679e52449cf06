# Source of vectors.txt. One instruction per line of output; the table is made with
#   as vectors.s -o vectors.o && objdump -d -w vectors.o
# (binutils 2.40) and keeps only bytes and text, so the test needs neither.
	.text
# --- one-byte map: operands, displacement sizes, immediates
	.irp op, add, or, adc, sbb, and, sub, xor, cmp
	\op %al, (%rax)
	\op %eax, 0x12(%rcx,%rdx,4)
	\op 0x12345678(%r13), %r14
	\op $0x12, %al
	\op $0x1234, %ax
	\op $0x12345678, %eax
	\op $0x12345678, %rax
	\op $-0x12345678, %r9
	\op $0x12, %r9
	\op $0x1234, %cx
	\op\()b $0x12, 0x12345678(%rip)
	\op\()l $0x12345678, 0x12345678(%rip)
	\op\()w $0x1234, %fs:0x10
	.endr
	.irp r, rax, rcx, rsp, rbp, r8, r12, r13, r15
	push %\r
	pop %\r
	mov (%\r), %\r
	mov 0x10(%\r), %\r
	mov 0x12345678(%\r), %\r
	mov %\r, 0x12345678(%rip)
	mov $0x123456789abcdef0, %\r
	mov $-1, %\r
	lea 0x10(%\r,%rax,8), %\r
	xchg %rax, %\r
	xchg %\r, (%\r)
	movslq %ecx, %\r
	test %\r, %\r
	bswap %\r
	.endr
	mov $0x12, %bl
	mov $0x12, %r11b
	mov $0x1234, %r11w
	mov $0x12345678, %r11d
	movb $0x12, (%rax)
	movw $0x1234, 0x10(%rax)
	movl $0x12345678, (%rax,%rax)
	movq $0x12345678, 0x12345678(%rip)
	movabs 0x123456789abcdef0, %al
	movabs 0x123456789abcdef0, %rax
	movabs %al, 0x123456789abcdef0
	movabs %ax, 0x123456789abcdef0
	addr32 movabs 0x12345678, %eax
	mov %ds, %eax
	mov %eax, %es
	pushq $0x12
	pushq $0x12345678
	pushw $0x1234
	push 0x12345678(%rip)
	pop (%rsp)
	push %fs
	pop %gs
	pushf
	popf
	imul $0x12, %eax, %ecx
	imul $0x12345678, (%rdx), %rcx
	imul $0x1234, %ax, %cx
	imul 0x10(%rsp), %r15
	enter $0x1234, $0x12
	leave
	ret
	ret $0x1234
	lretl
	lretq $0x10
	iretq
	int $0x80
	int3
	int1
	.irp i, 0, 1, 7
	shl $\i, %eax
	.endr
	.irp op, rol, ror, rcl, rcr, shl, shr, sar
	\op %cl, %r8
	\op $3, %r8
	\op\()l (%rax)
	\op\()b $3, 0x12345678(%rip)
	.endr
	.irp op, not, neg, mul, imul, div, idiv
	\op %cl
	\op %rcx
	\op\()w (%rax)
	\op\()l 0x12345678(%rip)
	.endr
	test $0x12, %cl
	testb $0x12, 0x12345678(%rip)
	test $0x12345678, %ecx
	test $0x1234, %cx
	testq $0x12345678, 0x12345678(%rip)
	test $0x12345678, %rsp
	inc %al
	decq 0x10(%rsp)
	call *%rax
	call *0x12345678(%rip)
	jmp *%r11
	jmp *(%rax,%rcx,8)
	lcall *(%rax)
	ljmp *(%rax)
	call .
	jmp .
	.byte 0xe9, 0x78, 0x56, 0x34, 0x12
	loop .
	loope .
	loopne .
	jrcxz .
	jecxz .
	in $0x12, %al
	out %eax, $0x12
	in %dx, %al
	.irp op, movsb, movsw, movsl, movsq, stosb, stosq, lodsb, cmpsb, scasb, insb, outsl
	\op
	rep \op
	.endr
	repne scasb
	.irp op, cltq, cqto, cwtl, cltd, cld, std, clc, stc, cmc, cli, sti, hlt, lahf, sahf, xlat, fwait, nop, pause
	\op
	.endr
	xchg %ax, %ax
	xchg %r8, %rax
	lock cmpxchg %rcx, (%rdx)
	lock xadd %eax, 0x12345678(%rip)
	lock incl %gs:0x10
	xacquire lock addl $1, (%rax)
	xbegin .
	xabort $0x12
	xend
	xtest
# --- 0F
	.irp cc, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
	j\cc .
	j\cc .+0x12345678
	set\cc (%r8)
	set\cc %r8b
	cmov\cc 0x12345678(%rip), %eax
	cmov\cc %r8, %r9
	.endr
	movzbl 0x12345678(%rip), %r10d
	movzwl %ax, %ecx
	movsbq (%rax), %r11
	movswl 0x10(%rsp), %eax
	shld $3, %eax, (%rcx)
	shld %cl, %rax, %rcx
	shrd $3, %eax, 0x12345678(%rip)
	shrd %cl, %rax, %rcx
	.irp op, bt, bts, btr, btc
	\op %eax, (%rcx)
	\op $3, %rcx
	\op\()l $3, 0x12345678(%rip)
	.endr
	bsf %eax, %ecx
	bsr (%rax), %rcx
	popcnt 0x10(%rax), %r9
	lzcnt %eax, %ecx
	tzcnt %rax, %rcx
	cmpxchg8b (%rax)
	cmpxchg16b 0x12345678(%rip)
	nopw 0x0(%rax,%rax,1)
	nopl 0x0(%rax)
	nopw %cs:0x12345678(%rax,%rax,1)
	prefetcht0 (%rax)
	prefetchnta 0x12345678(%rip)
	prefetchw (%rax)
	.irp op, syscall, sysretl, sysretq, sysenter, sysexitl, sysexitq, cpuid, rdtsc, rdtscp, rdmsr, wrmsr, rdpmc, rsm, ud2, clts, invd, wbinvd, wbnoinvd, emms, femms, getsec
	\op
	.endr
	.irp op, vmcall, vmlaunch, vmresume, vmxoff, vmfunc, monitor, mwait, clac, stac, encls, enclu, xgetbv, xsetbv, swapgs, monitorx, mwaitx, clzero, vmrun, vmload, vmsave, vmmcall, stgi, clgi, skinit, invlpga, rdpkru, wrpkru, serialize, xsusldtrk, xresldtrk
	\op
	.endr
	ud1 (%rax), %ecx
	ud0 0x12345678(%rip), %ecx
	mov %cr0, %rax
	mov %rax, %cr4
	mov %cr8, %r9
	mov %db7, %rax
	mov %rax, %db6
	.byte 0x0f, 0x20, 0xc1
	sgdt (%rax)
	sidt 0x10(%rax)
	lgdt 0x12345678(%rip)
	lidt (%r8)
	smsw %eax
	lmsw (%rax)
	invlpg 0x10(%rsp)
	sldt %eax
	str (%rax)
	lldt %ax
	ltr (%rax)
	verr %ax
	verw (%rax)
	lar %ax, %ecx
	lsl (%rax), %rcx
	lss (%rax), %ecx
	lfs (%rax), %ecx
	lgs 0x10(%rax), %ecx
	fxsave (%rax)
	fxrstor64 (%rax)
	ldmxcsr 0x12345678(%rip)
	stmxcsr (%rsp)
	xsave (%rax)
	xrstor64 (%rax)
	xsaveopt (%rax)
	xsavec (%rax)
	xsaves64 (%rax)
	xrstors (%rax)
	clflush (%rax)
	clflushopt 0x10(%rax)
	clwb (%rax)
	lfence
	mfence
	sfence
	rdfsbase %rax
	wrgsbase %r8
	rdrand %eax
	rdseed %r9
	rdpid %rax
	ptwritel (%rax)
	incsspq %rax
	rdsspq %rax
	endbr64
	umonitor %rax
	tpause %eax
	umwait %eax
	vmread %rax, (%rcx)
	vmwrite 0x12345678(%rip), %rax
	vmptrld (%rax)
	vmclear (%rax)
	vmxon (%rax)
	movnti %rax, (%rcx)
	push %gs
	pop %fs
# --- SSE to SSE4.2, AES, SHA, and what shares their maps
	.irp op, movups, movaps, movupd, movapd, movdqa, movdqu
	\op %xmm1, %xmm9
	\op 0x12345678(%rip), %xmm1
	\op %xmm15, 0x10(%rsp,%rax)
	.endr
	.irp op, movss, movsd, movlps, movhpd, movq
	\op (%rax), %xmm1
	\op %xmm8, 0x12345678(%rip)
	.endr
	.irp op, addps, addpd, addss, addsd, mulps, subsd, divss, sqrtsd, minps, maxpd, andps, xorpd, ucomisd, comiss, unpcklps, cvtps2pd, cvtdq2ps, rsqrtss, haddps, addsubpd, movddup, movshdup, paddb, paddq, psubw, pmullw, pmuludq, pand, por, pxor, pcmpeqb, pcmpgtd, pminub, pmaxsw, pavgb, psadbw, packsswb, punpckhqdq, psllw, psrlq, psrad, pmaddwd
	\op 0x12345678(%rip), %xmm9
	\op %xmm1, %xmm2
	.endr
	.irp op, pshufb, phaddw, pabsd, psignb, pmaddubsw, pmulhrsw, ptest, pmovsxbw, pmovzxdq, pmuldq, pcmpeqq, packusdw, pminsb, pmaxud, pmulld, phminposuw, pcmpgtq, aesenc, aesdeclast, aesimc, sha1nexte, sha1msg1, sha256msg2, gf2p8mulb, movntdqa
	\op 0x10(%rax), %xmm9
	.endr
	.irp op, palignr, roundps, roundsd, blendps, pblendw, dpps, mpsadbw, pcmpestri, pcmpistrm, pclmulqdq, aeskeygenassist, sha1rnds4, gf2p8affineqb, pshufd, pshufhw, pshuflw, shufps, shufpd, cmpps, cmpsd, insertps
	\op $3, 0x12345678(%rip), %xmm9
	\op $3, %xmm1, %xmm2
	.endr
	sha256rnds2 %xmm0, (%rax), %xmm1
	pblendvb %xmm0, %xmm1, %xmm2
	blendvps %xmm0, (%rax), %xmm2
	pextrb $3, %xmm1, (%rax)
	pextrw $3, %xmm1, %eax
	pextrq $1, %xmm9, 0x12345678(%rip)
	extractps $1, %xmm1, (%rax)
	pinsrb $3, (%rax), %xmm1
	pinsrw $3, %eax, %xmm9
	pinsrq $1, %rax, %xmm1
	.irp op, psllw, psrlw, psraw, pslld, psrld, psrad, psllq, psrlq, pslldq, psrldq
	\op $3, %xmm9
	.endr
	psllw $3, %mm1
	movd %eax, %xmm9
	movq %rax, %xmm1
	movq %xmm1, %rax
	movd %mm1, (%rax)
	movq2dq %mm1, %xmm2
	movdq2q %xmm1, %mm2
	movmskps %xmm1, %eax
	pmovmskb %xmm9, %eax
	maskmovdqu %xmm1, %xmm2
	movntps %xmm1, (%rax)
	movntdq %xmm1, 0x12345678(%rip)
	lddqu (%rax), %xmm1
	cvtsi2sdq %rax, %xmm1
	cvttsd2si %xmm9, %rax
	cvtpi2ps (%rax), %xmm1
	paddb (%rax), %mm1
	pshufw $3, (%rax), %mm1
	palignr $3, %mm1, %mm2
	crc32b %al, %ecx
	crc32q 0x12345678(%rip), %rcx
	movbe (%rax), %ecx
	movbe %rax, 0x10(%rcx)
	adcx %rax, %rcx
	adox (%rax), %ecx
	invept (%rax), %rcx
	invvpid (%rax), %rcx
	invpcid (%rax), %rcx
	movdiri %rax, (%rcx)
	movdir64b (%rax), %rcx
	enqcmd (%rax), %rcx
	wrssq %rax, (%rcx)
	wrussq %rax, (%rcx)
	hreset $3
	encodekey128 %eax, %ecx
	aesenc128kl (%rax), %xmm1
	movntsd %xmm1, (%rax)
	movntss %xmm1, (%rax)
	extrq $3, $5, %xmm1
	extrq %xmm1, %xmm2
	insertq $3, $5, %xmm1, %xmm2
	insertq %xmm1, %xmm2
# --- 3DNow!
	.irp op, pi2fw, pi2fd, pf2iw, pf2id, pfnacc, pfpnacc, pfcmpge, pfmin, pfrcp, pfrsqrt, pfsub, pfadd, pfcmpgt, pfmax, pfrcpit1, pfrsqit1, pfsubr, pfacc, pfcmpeq, pfmul, pfrcpit2, pmulhrw, pswapd, pavgusb
	\op 0x12345678(%rip), %mm1
	\op %mm3, %mm4
	.endr
	pfadd 0x10(%rsp,%rcx,2), %mm7
# --- x87
	.irp op, fadd, fmul, fcom, fcomp, fsub, fsubr, fdiv, fdivr
	\op\()s (%rax)
	\op\()l 0x12345678(%rip)
	\op %st(3)
	.endr
	.irp op, fiadd, fimul, ficom, ficomp, fisub, fisubr, fidiv, fidivr
	\op\()s 0x10(%rsp)
	\op\()l (%r9)
	.endr
	.irp op, fchs, fabs, ftst, fxam, fld1, fldl2t, fldpi, fldz, f2xm1, fyl2x, fptan, fpatan, fprem, fsqrt, fsincos, frndint, fscale, fsin, fcos, fnop, fnclex, fninit, fcompp, fucompp
	\op
	.endr
	.irp cc, b, e, be, u, nb, ne, nbe, nu
	fcmov\cc %st(2), %st
	.endr
	flds (%rax)
	fldl 0x12345678(%rip)
	fldt 0x10(%rsp)
	fstps (%rax)
	fstpt 0x12345678(%rip)
	fst %st(3)
	fxch %st(3)
	fildll (%rax)
	fistpll (%rax)
	fisttpl (%rax)
	fbld (%rax)
	fldcw 0x10(%rsp)
	fnstcw (%rax)
	fnstsw %ax
	fnstsw (%rax)
	fldenv (%rax)
	fnstenv (%rax)
	fnsave (%rax)
	frstor (%rax)
	fucomip %st(1), %st
	fcomi %st(1), %st
	faddp %st, %st(2)
	ffree %st(2)
# --- VEX, two and three byte prefix
	vzeroupper
	vzeroall
	.irp op, vmovups, vmovaps, vmovdqa, vmovdqu
	\op %ymm1, %ymm2
	\op 0x12345678(%rip), %ymm9
	\op %xmm1, 0x10(%r8,%r9,2)
	.endr
	.irp op, vaddps, vmulpd, vandps, vxorps, vpaddb, vpxor, vpand, vpcmpeqb, vpshufb, vpmaddubsw, vpsrlvd, vpermd, vfmadd132ps, vfmadd213pd, vfnmsub231ps, vpunpckhqdq, vpminub, vaesenc
	\op %ymm1, %ymm2, %ymm3
	\op 0x12345678(%rip), %ymm8, %ymm9
	\op (%r8,%r9,4), %ymm1, %ymm2
	.endr
	.irp op, vaddss, vsubsd, vfmadd231sd, vsqrtss
	\op %xmm1, %xmm2, %xmm3
	\op 0x10(%rsp), %xmm8, %xmm9
	.endr
	.irp op, vperm2i128, vperm2f128, vpalignr, vpblendd, vpblendw, vshufps, vcmpps, vblendpd, vdpps, vpclmulqdq
	\op $3, %ymm1, %ymm2, %ymm3
	\op $3, 0x12345678(%rip), %ymm8, %ymm9
	.endr
	.irp op, vpermq, vpshufd, vpshuflw, vpermilps, vroundpd
	\op $3, %ymm1, %ymm2
	\op $3, 0x12345678(%rip), %ymm9
	.endr
	.irp op, vpsllw, vpsrld, vpsraw, vpsllq, vpslldq, vpsrldq
	\op $3, %ymm1, %ymm9
	.endr
	vinserti128 $1, (%rax), %ymm1, %ymm2
	vextracti128 $1, %ymm9, 0x12345678(%rip)
	vblendvpd %ymm1, (%rax), %ymm2, %ymm3
	vpblendvb %ymm1, %ymm2, %ymm3, %ymm4
	vpinsrw $3, %eax, %xmm1, %xmm2
	vpinsrq $1, (%rax), %xmm1, %xmm2
	vpextrw $3, %xmm1, %eax
	vpextrb $3, %xmm1, 0x10(%rax)
	vbroadcastss (%rax), %ymm1
	vpbroadcastb %xmm1, %ymm9
	vpmovmskb %ymm1, %eax
	vmovmskps %ymm1, %eax
	vmovd %eax, %xmm1
	vmovq %xmm9, %rax
	vmovq (%rax), %xmm1
	vmovntdq %ymm1, (%rax)
	vlddqu (%rax), %ymm1
	vmaskmovps (%rax), %ymm1, %ymm2
	vpmaskmovq %ymm1, %ymm2, 0x10(%rax)
	vgatherdps %ymm1, 0x10(%rax,%ymm2,4), %ymm3
	vpgatherqq %ymm1, 0x12345678(,%ymm2,8), %ymm3
	vucomisd %xmm1, %xmm2
	vptest (%rax), %ymm1
	vtestps %ymm1, %ymm2
	vcvtsi2sdq %rax, %xmm1, %xmm2
	vcvttsd2si %xmm1, %rax
	vcvtph2ps %xmm1, %ymm2
	vcvtps2ph $3, %ymm1, (%rax)
	vldmxcsr (%rax)
	vstmxcsr 0x12345678(%rip)
	vpcmpestri $3, %xmm1, %xmm2
	vaeskeygenassist $3, %xmm1, %xmm2
	vgf2p8affineqb $3, %ymm1, %ymm2, %ymm3
	.irp op, andn, pdep, pext, mulx
	\op %rax, %rcx, %rdx
	\op 0x12345678(%rip), %r9, %r10
	.endr
	.irp op, bextr, bzhi, shlx, sarx, shrx
	\op %rax, (%rcx), %rdx
	.endr
	.irp op, blsr, blsmsk, blsi
	\op %rax, %rcx
	\op (%rax), %ecx
	.endr
	rorx $3, 0x12345678(%rip), %rax
	.irp op, kaddw, kandb, kandnq, kord, kxnorw, kxorb, kunpckbw
	\op %k1, %k2, %k3
	.endr
	kmovw (%rax), %k1
	kmovq %k1, 0x10(%rax)
	kmovd %eax, %k1
	kmovb %k1, %eax
	knotw %k1, %k2
	kortestb %k1, %k2
	ktestq %k1, %k2
	kshiftlw $3, %k1, %k2
	kshiftrq $3, %k1, %k2
	.irp op, vfmaddps, vfmsubpd, vfnmaddss, vfnmsubsd, vfmaddsubps
	\op %xmm1, (%rax), %xmm2, %xmm3
	\op %xmm1, %xmm2, %xmm3, %xmm4
	.endr
	vpermil2ps $1, %ymm1, %ymm2, %ymm3, %ymm4
	{vex} vpdpbusd %ymm1, %ymm2, %ymm3
	vpdpbssd (%rax), %ymm2, %ymm3
	cmpbexadd %eax, %ecx, (%rdx)
	ldtilecfg (%rax)
	tilerelease
	tilezero %tmm1
	tileloadd (%rax,%rcx), %tmm1
	tdpbssd %tmm1, %tmm2, %tmm3
	tdpbf16ps %tmm1, %tmm2, %tmm3
	tdpfp16ps %tmm1, %tmm2, %tmm3
	vmovups %fs:0x10, %ymm1
	vmovups (%eax), %ymm1
# --- EVEX: disp8*N, masks, broadcast, rounding, maps 1 2 3 5 6
	.irp op, vmovups, vmovapd, vmovdqa32, vmovdqu8
	\op %zmm1, %zmm2{%k1}{z}
	\op 0x12345678(%rip), %zmm19
	\op 0x40(%rax), %zmm19
	\op %zmm1, 0x41(%r8,%r9,2)
	.endr
	.irp op, vaddps, vpandq, vpxord, vpaddq, vpermi2d, vfmadd213pd, vpmullq, vpsllvw, vpshufb, vpmadd52luq, vpdpbusd, vgf2p8mulb
	\op %zmm1, %zmm2, %zmm3
	\op 0x40(%rax), %zmm18, %zmm19{%k2}
	\op 0x12345678(%rip), %zmm8, %zmm9
	.endr
	vaesenc 0x40(%rax), %zmm18, %zmm19
	vpclmulqdq $3, 0x40(%rax), %zmm18, %zmm19
	vaddps 0x4(%rax){1to16}, %zmm2, %zmm3
	vaddpd {rn-sae}, %zmm1, %zmm2, %zmm3
	.irp op, vpternlogd, valignq, vshuff32x4, vpshldd, vdbpsadbw, vrangepd, vfixupimmps, vpcmpb, vpcmpud, vcmpps
	.ifc \op, vpcmpb
	\op $3, %zmm1, %zmm2, %k3
	.else
	.ifc \op, vpcmpud
	\op $3, 0x40(%rax), %zmm2, %k3{%k1}
	.else
	.ifc \op, vcmpps
	\op $3, 0x12345678(%rip), %zmm2, %k3
	.else
	\op $3, %zmm1, %zmm2, %zmm3
	\op $3, 0x12345678(%rip), %zmm18, %zmm19
	.endif
	.endif
	.endif
	.endr
	.irp op, vprold, vprorq, vpsraq, vpsrld, vpsllw, vpslldq, vpermq, vpshufd, vgetmantps, vreducepd, vrndscaleps
	\op $3, %zmm1, %zmm19
	\op $3, 0x40(%rax), %zmm2
	.endr
	vinserti64x4 $1, %ymm1, %zmm2, %zmm3
	vextracti32x4 $1, %zmm1, 0x10(%rax)
	vpextrd $1, %xmm19, (%rax)
	vpinsrb $1, (%rax), %xmm19, %xmm1
	vmovd %eax, %xmm19
	vmovq %xmm19, %rax
	vmovss 0x10(%rax), %xmm19
	vmovlps (%rax), %xmm19, %xmm1
	vcvtusi2sdq %rax, %xmm1, %xmm2
	vcvttsd2usi %xmm1, %rax
	vcvtps2ph $3, %zmm1, 0x20(%rax)
	vpbroadcastd %eax, %zmm1
	vpbroadcastmb2q %k1, %zmm1
	vpmovm2b %k1, %zmm2
	vpmovb2m %zmm1, %k2
	vpmovqb %zmm1, 0x8(%rax)
	vpcompressd %zmm1, (%rax)
	vpexpandb 0x1(%rax), %zmm1
	vpconflictd %zmm1, %zmm2
	vplzcntq (%rax){1to8}, %zmm2
	vpopcntb %zmm1, %zmm2
	vptestmd %zmm1, %zmm2, %k1
	vp2intersectd %zmm1, %zmm2, %k2
	vgatherdps 0x4(%rax,%zmm1,4), %zmm2{%k1}
	vscatterqpd %zmm1, 0x12345678(%rax,%zmm2,8){%k1}
	vgatherpf0dps 0x4(%rax,%zmm1,4){%k1}
	vucomiss %xmm19, %xmm1
	vdpbf16ps (%rax), %zmm1, %zmm2
	vcvtne2ps2bf16 %zmm1, %zmm2, %zmm3
	v4fmaddps (%rax), %zmm4, %zmm1
	.irp op, vaddph, vmulph, vsubsh, vdivph, vmaxsh
	.ifc \op, vsubsh
	\op 0x2(%rax), %xmm1, %xmm2
	.else
	.ifc \op, vmaxsh
	\op %xmm1, %xmm2, %xmm19
	.else
	\op 0x40(%rax), %zmm1, %zmm2
	.endif
	.endif
	.endr
	vmovsh 0x2(%rax), %xmm1
	vmovw %eax, %xmm1
	vcvtph2dq %ymm1, %zmm2
	vcomish (%rax), %xmm1
	vfmadd231ph %zmm1, %zmm2, %zmm3
	vfcmulcph 0x12345678(%rip), %zmm1, %zmm2
	vscalefph %zmm1, %zmm2, %zmm3
	vrcpph %zmm1, %zmm2
	vcmpph $3, %zmm1, %zmm2, %k1
	vreducesh $3, %xmm1, %xmm2, %xmm3
	vfpclassph $3, %zmm1, %k1
# --- XOP, TBM, LWP
	.irp op, vpcmov, vpperm, vpmacssww, vpmadcswd
	\op %xmm1, (%rax), %xmm2, %xmm3
	\op %xmm1, %xmm2, %xmm3, %xmm4
	.endr
	.irp op, vprotb, vpshlq, vpshaw
	\op %xmm1, 0x12345678(%rip), %xmm2
	.endr
	vprotd $3, 0x12345678(%rip), %xmm2
	vpcomub $3, 0x10(%rsp), %xmm1, %xmm2
	vfrczps (%rax), %ymm1
	vphaddbw %xmm1, %xmm2
	vphsubdq 0x10(%rax), %xmm2
	.irp op, blcfill, blsfill, blcs, tzmsk, blcic, blsic, t1mskc, blcmsk, blci
	\op %rax, %rcx
	\op 0x12345678(%rip), %ecx
	.endr
	bextr $0x12345678, %rax, %rcx
	bextr $0x12345678, 0x12345678(%rip), %ecx
	llwpcb %rax
	slwpcb %r9
	lwpins $0x12345678, (%rax), %ecx
	lwpval $0x12345678, %eax, %rcx
