package stub

// Registers by hardware number (Intel SDM vol. 2, table 3-1).
const (
	regAX  = 0
	regDX  = 2
	regSP  = 4
	regR12 = 12
	regR13 = 13
	regR14 = 14
	regR15 = 15
)

var registerNames = [...]string{
	"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI",
	"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
}
