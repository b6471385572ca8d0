package transfers

import "synod/app"

// New declares the application's endpoints.
func New() *app.App {
	a := app.New("bank").Describe("Bank transfers", "Accounts of a consortium of banks.", "1.0.0")
	app.Typed(a, "PUT", "/accounts/{account}", open, app.UserCert)
	app.Typed(a, "GET", "/accounts/{account}", balance, app.UserCert).ReadOnly()
	app.Typed(a, "POST", "/deposits", deposit, app.UserCert)
	app.Typed(a, "POST", "/transfers", transfer, app.UserCert)
	app.Typed(a, "GET", "/transfers", list).ReadOnly()
	declarePast(a)
	return a
}
