package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 says where a store that speaks S3 is, and as whom it is used.
type S3 struct {
	Endpoint  string // host[:port]
	Plain     bool   // http instead of https
	Bucket    string
	Prefix    string // of every key, without slashes at its ends; may be ""
	Region    string // "" if the store does not care
	AccessKey string // "" for a store that anybody may use
	SecretKey string

	Transport http.RoundTripper // nil for the one that all share
}

// transport is shared: a store is opened for each look at it, and each would leave
// connections of its own behind.
var transport = sync.OnceValues(func() (*http.Transport, error) { return minio.DefaultTransport(true) })

// s3Store is a store in a bucket.
type s3Store struct {
	client *minio.Client
	cfg    S3
}

// OpenS3 returns the store in a bucket. It makes no request.
func OpenS3(cfg S3) (Store, error) {
	if cfg.Bucket == "" || cfg.Endpoint == "" {
		return nil, errors.New("an S3 store needs an endpoint and a bucket")
	}
	cfg.Prefix = strings.Trim(cfg.Prefix, "/")
	if cfg.Prefix != "" {
		if err := checkKey(cfg.Prefix); err != nil {
			return nil, err
		}
	}
	if cfg.Transport == nil {
		shared, err := transport()
		if err != nil {
			return nil, fmt.Errorf("S3 store: %w", err)
		}
		cfg.Transport = shared
	}
	client, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds:     credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:    !cfg.Plain,
		Region:    cfg.Region,
		Transport: cfg.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("S3 store: %w", err)
	}
	return &s3Store{client, cfg}, nil
}

func (s *s3Store) String() string {
	return "s3://" + path.Join(s.cfg.Bucket, s.cfg.Prefix) + " at " + s.cfg.Endpoint
}

func (s *s3Store) key(key string) string { return path.Join(s.cfg.Prefix, key) }

func (s *s3Store) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.client.PutObject(ctx, s.cfg.Bucket, s.key(key), r, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream",
	})
	return s.explain(key, err)
}

func (s *s3Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	o, err := s.client.GetObject(ctx, s.cfg.Bucket, s.key(key), minio.GetObjectOptions{})
	if err != nil {
		return nil, s.explain(key, err)
	}
	if _, err := o.Stat(); err != nil { // the request itself is made here
		o.Close()
		return nil, s.explain(key, err)
	}
	return o, nil
}

func (s *s3Store) List(ctx context.Context, prefix string) ([]Object, error) {
	full := prefix
	if s.cfg.Prefix != "" {
		full = s.cfg.Prefix + "/" + prefix
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the lister if an error ends the loop
	var found []Object
	for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: full, Recursive: true}) {
		if o.Err != nil {
			return nil, s.explain(prefix, o.Err)
		}
		key := o.Key
		if s.cfg.Prefix != "" {
			key = strings.TrimPrefix(key, s.cfg.Prefix+"/")
		}
		found = append(found, Object{Key: key, SizeBytes: o.Size, Modified: o.LastModified})
	}
	return found, nil
}

func (s *s3Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return s.explain(key, s.client.RemoveObject(ctx, s.cfg.Bucket, s.key(key), minio.RemoveObjectOptions{}))
}

// explain gives a store's answer a meaning, and never its request, which holds
// a signature.
func (s *s3Store) explain(key string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %w", s, err)
	}
	switch answer.Code {
	case minio.NoSuchKey:
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	case minio.NoSuchBucket:
		return fmt.Errorf("%s: there is no such bucket: make it, or name another", s)
	case minio.AccessDenied, "SignatureDoesNotMatch", "InvalidAccessKeyId":
		return fmt.Errorf("%s: the store refuses these credentials (%s)", s, answer.Code)
	}
	return fmt.Errorf("%s: %s: %s", s, answer.Code, answer.Message)
}
