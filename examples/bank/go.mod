module example.com/bank

go 1.26.0

require synod v0.0.0

require (
	github.com/dchest/siphash v1.2.3 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	go.etcd.io/raft/v3 v3.7.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace synod => ../..
