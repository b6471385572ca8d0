package client_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"synod/client"
)

// A user's program: write, and return only when the write is committed on a
// majority's disks, with the receipt in hand.
func ExampleDial() {
	service, err := os.ReadFile("service_cert.pem")
	if err != nil {
		fmt.Println("first start a service, for instance with synod sandbox")
		return
	}
	cert, _ := os.ReadFile("user0_cert.pem")
	key, _ := os.ReadFile("user0_privk.pem")
	c, err := client.Dial("https://127.0.0.1:8000",
		client.WithServiceCertificate(service), client.WithClientCertificate(cert, key))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.Do(ctx, client.Request{
		Method: "POST", Path: "/app/log/public",
		Body: []byte(`{"id":1,"msg":"Hello"}`), Wait: client.WaitReceipt,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.TxID, resp.TxStatus)
	// Output: first start a service, for instance with synod sandbox
}
