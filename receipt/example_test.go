package receipt_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"synod/receipt"
)

func ExampleReceipt_Verify() {
	text, err := os.ReadFile("testdata/receipt-2.26.recovered2.json")
	if err != nil {
		log.Fatal(err)
	}
	service, err := os.ReadFile("testdata/service-3_cert.pem")
	if err != nil {
		log.Fatal(err)
	}
	r, err := receipt.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	res, err := r.Verify(receipt.Options{ServiceCert: service})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is in the ledger, under root %.4x…\n", res.TxID, res.Root)
	// Output: 2.26 is in the ledger, under root 9ced1c0f…
}

func ExampleCOSEReceipt_Verify() {
	message, err := os.ReadFile("testdata/cose_receipt-2.39.recovered2.cbor")
	if err != nil {
		log.Fatal(err)
	}
	service, err := os.ReadFile("testdata/service-3_cert.pem")
	if err != nil {
		log.Fatal(err)
	}
	// The service has been recovered twice since: two endorsements lead from
	// its present identity to the one that signed.
	answer, err := os.ReadFile("testdata/cose_endorsements-2.39.recovered2.cbor")
	if err != nil {
		log.Fatal(err)
	}
	var list struct{ Endorsements [][]byte }
	if err := json.Unmarshal(answer, &list); err != nil {
		log.Fatal(err)
	}
	r, err := receipt.ParseCOSE(message)
	if err != nil {
		log.Fatal(err)
	}
	res, err := r.Verify(receipt.Options{ServiceCert: service, Endorsements: list.Endorsements})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.TxID, "is covered by the signature", res.SignatureTxID, "of", res.Issuer)
	// Output: 2.39 is covered by the signature 2.41 of service.example.com
}
